using System.CommandLine;

namespace Quorumail.Server.CommandLine;

/// <summary><c>smtp-server drain</c>: has a node give up what depends on it, and waits for that.</summary>
internal sealed class DrainCommand(CommonOptions common)
{
    /// <summary>The command.</summary>
    public Command Create()
    {
        var node = new Argument<string?>("node") { Description = "its name (default: the node that runs with this configuration)", Arity = ArgumentArity.ZeroOrOne };
        var cancel = new Option<bool>("--cancel") { Description = "let it take mail and messages again" };
        var noWait = new Option<bool>("--no-wait") { Description = "only begin" };
        var json = new Option<bool>("--json") { Description = "print what is left at the end as JSON" };
        var timeout = DrainWait.TimeoutOption();
        var command = new Command("drain", "Take no more mail here and hand everything over; wait until nothing depends on this node.")
        {
            node, cancel, noWait, timeout, json,
        };
        command.SetAction(async (parsed, token) =>
        {
            var loaded = common.Load(parsed);
            if (!CommonOptions.Report(loaded, Console.Error) || !DrainWait.TryReadTimeout(parsed.GetValue(timeout)!, out var limit))
            {
                return ExitCode.BadConfiguration;
            }

            DrainWait wait = new(new AdministrationClient(loaded.Options.Http), parsed.GetValue(node), parsed.GetValue(json));
            return parsed.GetValue(cancel) ? await wait.CancelAsync(token)
                : parsed.GetValue(noWait) ? await wait.BeginAsync(token)
                : await wait.EndAsync(limit, token);
        });
        return command;
    }
}
