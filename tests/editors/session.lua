-- A person at work in Neovim: opens a spec, reads what is wrong, mends it, asks, renames, lays it out. Prints what the editor saw as JSON.
local seen, wait = {}, 20000

local function line_of(piece)
  for number, line in ipairs(vim.api.nvim_buf_get_lines(0, 0, -1, false)) do
    local column = line:find(piece, 1, true)
    if column then
      vim.api.nvim_win_set_cursor(0, { number, column - 1 })
      return number, line
    end
  end
  error("the spec has no " .. piece)
end

local function until_(true_)
  return vim.wait(wait, true_, 20)
end

local function text()
  return table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n")
end

local function work()
  local client = vim.lsp.start_client({ name = "nnspec", cmd = vim.json.decode(vim.env.NNSPEC_LSP), root_dir = vim.fn.getcwd() })
  vim.lsp.buf_attach_client(0, client)
  until_(function() return #vim.diagnostic.get(0) > 0 end)
  seen.mistakes = {}
  for _, d in ipairs(vim.diagnostic.get(0)) do
    table.insert(seen.mistakes, { code = d.code or d.user_data.lsp.code, line = d.lnum + 1, column = d.col + 1, message = d.message })
  end

  local number, line = line_of("rellu")
  vim.api.nvim_buf_set_lines(0, number - 1, number, false, { (line:gsub("rellu", "relu")) })
  seen.mended = until_(function() return #vim.diagnostic.get(0) == 0 end)

  line_of("hidden ->")
  local answers = vim.lsp.buf_request_sync(0, "textDocument/hover", vim.lsp.util.make_position_params(), wait)
  seen.hover = answers[client].result.contents.value

  vim.lsp.buf.rename("code")
  until_(function() return not text():find("hidden") end)
  seen.renamed = text()

  if vim.lsp.buf.format then vim.lsp.buf.format({ timeout_ms = wait }) else vim.lsp.buf.formatting_sync(nil, wait) end
  seen.formatted = text()
end

local fine, problem = pcall(work)
seen.problem = not fine and tostring(problem) or nil
vim.fn.writefile({ vim.json.encode(seen) }, vim.env.NNSPEC_SEEN)
vim.lsp.stop_client(vim.lsp.get_active_clients(), true)
vim.cmd("qa!")
