using System.CommandLine;
using Quorumail.Core.Cluster;
using Quorumail.Server.Torture;
using Quorumail.Server.Torture.Cluster;

namespace Quorumail.Server.CommandLine;

/// <summary><c>smtp-server torture</c>: mail and faults for a cluster of its own, or for a user's, and an account of every message.</summary>
internal sealed class TortureCommand(CommonOptions common)
{
    private readonly Option<double> _minutes = new("--minutes") { Description = "how long mail is sent", DefaultValueFactory = _ => 5, HelpName = "N" };
    private readonly Option<int?> _seed = new("--seed") { Description = "draws the faults, the mail and the next hop's trouble (default: another one each time)", HelpName = "S" };
    private readonly Option<int> _nodes = new("--nodes") { Description = "nodes of the own cluster, 1 to 7", DefaultValueFactory = _ => 3, HelpName = "N" };
    private readonly Option<int> _sessions = new("--sessions") { Description = "connections at once to each node", DefaultValueFactory = _ => 4, HelpName = "N" };
    private readonly Option<string[]> _node = new("--node") { Description = "a node of your cluster, its SMTP port; once for each", HelpName = "HOST:PORT" };
    private readonly Option<string?> _sink = new("--sink") { Description = "where this machine takes what your cluster delivers", HelpName = "HOST:PORT" };
    private readonly Option<string[]> _api = new("--api") { Description = "administration interface of a node of your cluster (default: the one that the configuration names)", HelpName = "URL" };
    private readonly Option<string> _domain = new("--domain") { Description = "of all recipients", DefaultValueFactory = _ => "torture.example", HelpName = "NAME" };
    private readonly Option<string?> _break = new("--break") { Description = "makes a fault: run by /bin/sh, QUORUMAIL_NODE says which --node, 1 the first", HelpName = "CMD" };
    private readonly Option<string?> _mend = new("--mend") { Description = "undoes it, with the same QUORUMAIL_NODE", HelpName = "CMD" };
    private readonly Option<bool> _json = new("--json") { Description = "print the report as JSON; progress goes to standard error" };

    /// <summary>The command.</summary>
    public Command Create()
    {
        var command = new Command("torture", "Send mail through faults and account for every message: a cluster of its own, or yours (--node).")
        {
            _minutes, _seed, _nodes, _sessions, _node, _sink, _api, _domain, _break, _mend, _json,
        };
        _minutes.Between(0.05, 10_080);
        _nodes.Between(1, 7);
        _sessions.Between(1, 100);
        command.Validators.Add(result =>
        {
            var isGiven = result.GetResult(_node) is not null;
            if (isGiven && result.GetResult(_nodes) is { Implicit: false })
            {
                result.AddError("--nodes is for a cluster of torture's own; yours is given by --node");
            }

            foreach (var option in new Option[] { _sink, _api, _domain, _break, _mend })
            {
                if (!isGiven && result.GetResult(option) is { Implicit: false })
                {
                    result.AddError($"{option.Name} is for your own cluster: name its nodes by --node HOST:PORT");
                }
            }

            if (isGiven && result.GetResult(_sink) is null)
            {
                result.AddError("--sink HOST:PORT is missing: where this machine takes what your cluster delivers");
            }

            if (result.GetResult(_break) is null != result.GetResult(_mend) is null)
            {
                result.AddError("--break and --mend belong together: what is broken is to be mended");
            }
        });
        command.SetAction((parsed, _) => RunAsync(parsed));
        return command;
    }

    private async Task<int> RunAsync(ParseResult parsed)
    {
        var plan = new TorturePlan
        {
            Duration = TimeSpan.FromMinutes(parsed.GetValue(_minutes)),
            Seed = parsed.GetValue(_seed) ?? Random.Shared.Next(1, 1_000_000),
            Sessions = parsed.GetValue(_sessions),
            Domain = parsed.GetValue(_domain)!,
            Name = TortureSession.NewName(),
        };
        var session = new TortureSession(plan, Console.Out, Console.Error, parsed.GetValue(_json));
        if (parsed.GetValue(_node) is not { Length: > 0 } nodes)
        {
            return await session.RunAsync((sink, log) => new OwnCluster(parsed.GetValue(_nodes), sink, log), sinkAt: null);
        }

        var loaded = common.Load(parsed);
        if (!CommonOptions.Report(loaded, Console.Error)
            || !TryReadAll("--node", nodes, out var addresses)
            || !TryReadAll("--sink", [parsed.GetValue(_sink)!], out var sinks)
            || !TryReadUris(parsed.GetValue(_api)!, out var api))
        {
            return ExitCode.BadConfiguration;
        }

        var given = new GivenClusterOptions
        {
            Nodes = addresses,
            Sink = sinks[0],
            Api = api.Count > 0 ? api : [new AdministrationClient(loaded.Options.Http).Address],
            Token = loaded.Options.Http.Token,
            Break = parsed.GetValue(_break),
            Mend = parsed.GetValue(_mend),
        };
        return await session.RunAsync((sink, log) => new GivenCluster(given, plan, sink, log), given.Sink);
    }

    private static bool TryReadAll(string option, string[] texts, out List<PeerAddress> addresses)
    {
        addresses = [];
        foreach (var text in texts)
        {
            if (!text.Contains(':', StringComparison.Ordinal) || !PeerAddress.TryParse(text, out var address, out _))
            {
                Console.Error.WriteLine($"smtp-server: {option} {text}: it is HOST:PORT");
                return false;
            }

            addresses.Add(address!);
        }

        return true;
    }

    private static bool TryReadUris(string[] texts, out List<Uri> addresses)
    {
        addresses = [];
        foreach (var text in texts)
        {
            if (!Uri.TryCreate(text.TrimEnd('/') + "/", UriKind.Absolute, out var address) || address.Scheme is not ("http" or "https"))
            {
                Console.Error.WriteLine($"smtp-server: --api {text}: it is a URL such as http://127.0.0.1:8080");
                return false;
            }

            addresses.Add(address);
        }

        return true;
    }
}
