"""What an editor asks of a spec, from text and place to data; `server` speaks the protocol."""
