// Starts the language server of the nnspec package and connects the editor with it.
const { workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

exports.activate = () => {
  const [command, ...args] = workspace.getConfiguration("nnspec").get("command");
  client = new LanguageClient("nnspec", "nnspec", { command, args }, { documentSelector: [{ language: "nnspec" }] });
  return client.start();
};

exports.deactivate = () => client && client.stop();
