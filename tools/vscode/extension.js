// Starts the language server of the nnspec package and connects the editor with it.
const { commands, window, workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

const SETTING = "nnspec.command";
let client;

const start = async () => {
  const [command, ...args] = workspace.getConfiguration().get(SETTING);
  client = new LanguageClient("nnspec", "nnspec", { command, args }, { documentSelector: [{ language: "nnspec" }] });
  await client.start().catch(() => explain(command));
};

const stop = () => client?.stop().catch(() => {}); // one that never ran cannot be stopped

const explain = async (command) => {
  const open = "Open the setting";
  const help = `pip install 'nnspec[lsp]', or say in the setting ${SETTING} where it is`;
  const chosen = await window.showErrorMessage(`\`${command}\` does not start the language server: ${help}.`, open);
  if (chosen === open) commands.executeCommand("workbench.action.openSettings", SETTING);
};

exports.activate = (context) => {
  const restart = async (change) => change.affectsConfiguration(SETTING) && (await stop(), start());
  context.subscriptions.push(workspace.onDidChangeConfiguration(restart));
  start(); // in the background: colours need no server
};

exports.deactivate = stop;
