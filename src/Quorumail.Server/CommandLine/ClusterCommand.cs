using System.CommandLine;
using System.Text;
using System.Text.Json;

namespace Quorumail.Server.CommandLine;

/// <summary><c>smtp-server cluster</c>: asks the running server about its cluster, and has it act.</summary>
internal sealed class ClusterCommand(CommonOptions common)
{
    private const string Root = "/api/cluster/";

    private readonly Option<bool> _json = new("--json") { Description = "print the answer as JSON", Recursive = true };

    /// <summary>The command with its subcommands.</summary>
    public Command Create()
    {
        var cluster = new Command("cluster", "Ask the running server about its cluster, or have it act.")
        {
            Ask("status", "Members, leader, term, and how this node is.", "status", ClusterReport.WriteStatus),
            Ask("nodes", "List the nodes with role, status, lag and load.", "nodes", ClusterReport.WriteNodes),
            Events(),
            State(),
            Act("elect", "Let this node stand for election.", HttpMethod.Post, "election"),
            Transfer(),
            Join(),
            Leave(),
            Remove(),
            new RecoverCommand(common, _json).Create(),
        };
        cluster.Options.Add(_json);
        return cluster;
    }

    private Command Ask(string name, string description, string path, Action<JsonElement> write)
    {
        var command = new Command(name, description);
        command.SetAction((parsed, token) => SendAsync(parsed, HttpMethod.Get, path, null, write, token));
        return command;
    }

    private Command Act(string name, string description, HttpMethod method, string path)
    {
        var command = new Command(name, description);
        command.SetAction((parsed, token) => SendAsync(parsed, method, path, null, ClusterReport.WriteStatus, token));
        return command;
    }

    private Command Events()
    {
        var limit = new Option<int>("--limit") { Description = "at most this many, the latest (default 100, at most 1000)", DefaultValueFactory = _ => 100 };
        var command = new Command("events", "List what happened: elections with their reason, changes of role, joins.") { limit };
        command.SetAction((parsed, token) => SendAsync(
            parsed, HttpMethod.Get, FormattableString.Invariant($"events?limit={parsed.GetValue(limit)}"), null, ClusterReport.WriteEvents, token));
        return command;
    }

    private Command Transfer()
    {
        var target = new Argument<string?>("node") { Description = "who is to lead (default: whoever is furthest)", Arity = ArgumentArity.ZeroOrOne };
        var command = new Command("transfer", "Hand leadership over.") { target };
        command.SetAction((parsed, token) => SendAsync(
            parsed,
            HttpMethod.Post,
            parsed.GetValue(target) is { } node ? $"transfer?target={Uri.EscapeDataString(node)}" : "transfer",
            null,
            ClusterReport.WriteStatus,
            token));
        return command;
    }

    private Command Join()
    {
        var address = new Argument<string>("address") { Description = "host:port of the new node's cluster port" };
        var command = new Command("join", "Add a node.") { address };
        command.SetAction((parsed, token) => SendAsync(
            parsed, HttpMethod.Post, $"join?address={Uri.EscapeDataString(parsed.GetValue(address)!)}", null, ClusterReport.WriteStatus, token));
        return command;
    }

    private Command Leave()
    {
        var force = ForceOption();
        var timeout = DrainWait.TimeoutOption();
        var command = new Command("leave", "Take this node out of the cluster, when nothing depends on it any more.") { force, timeout };
        command.SetAction((parsed, token) => PartAsync(parsed, null, HttpMethod.Post, "leave", parsed.GetValue(force), parsed.GetValue(timeout)!, token));
        return command;
    }

    private Command Remove()
    {
        var node = new Argument<string>("node") { Description = "its name" };
        var force = ForceOption();
        var timeout = DrainWait.TimeoutOption();
        var command = new Command("remove", "Take a node out of the cluster, when nothing depends on it any more; one that is gone for good, for example.")
        {
            node, force, timeout,
        };
        command.SetAction((parsed, token) =>
        {
            var name = parsed.GetValue(node)!;
            return PartAsync(parsed, name, HttpMethod.Delete, $"nodes/{Uri.EscapeDataString(name)}", parsed.GetValue(force), parsed.GetValue(timeout)!, token);
        });
        return command;
    }

    private static Option<bool> ForceOption() =>
        new("--force") { Description = "don't wait; what is on no other disk is lost" };

    private async Task<int> PartAsync(
        ParseResult parsed, string? node, HttpMethod method, string path, bool force, string timeout, CancellationToken token)
    {
        if (ClientOf(parsed) is not { } client)
        {
            return ExitCode.BadConfiguration;
        }

        if (!DrainWait.TryReadTimeout(timeout, out var limit))
        {
            return ExitCode.BadConfiguration;
        }

        DrainWait wait = new(client, node, parsed.GetValue(_json));
        var code = force ? await wait.TellLossAsync(token) : await wait.EndOfAsync(limit, token);
        return code != ExitCode.Success
            ? code
            : await client.SendAsync(
                method, Root + path + (force ? "?force=true" : ""), null, parsed.GetValue(_json) ? Report.WriteJson : ClusterReport.WriteStatus, token);
    }

    private Command State()
    {
        var read = new Option<string>("--read") { Description = "local, leader or linearizable", DefaultValueFactory = _ => "local" };
        var key = new Argument<string>("key");

        var get = new Command("get", "Print a key's value as it is.") { key, read };
        get.SetAction((parsed, token) => FetchAsync(parsed, $"{KeyPath(parsed, key)}?read={Uri.EscapeDataString(parsed.GetValue(read)!)}", token));

        var value = new Argument<string?>("value") { Description = "default: standard input", Arity = ArgumentArity.ZeroOrOne };
        var timeToLive = new Option<string?>("--ttl") { Description = "after which the key is gone: seconds, or 500ms, 30s, 5m, 1h, 7d" };
        var set = new Command("set", "Set a key.") { key, value, timeToLive };
        set.SetAction(async (parsed, token) => await SendAsync(
            parsed,
            HttpMethod.Put,
            KeyPath(parsed, key) + (parsed.GetValue(timeToLive) is { } ttl ? $"?ttl={Uri.EscapeDataString(ttl)}" : ""),
            parsed.GetValue(value) is { } text ? Encoding.UTF8.GetBytes(text) : await ReadInputAsync(token),
            ClusterReport.WriteChange,
            token));

        var delete = new Command("delete", "Delete a key.") { key };
        delete.SetAction((parsed, token) => SendAsync(parsed, HttpMethod.Delete, KeyPath(parsed, key), null, ClusterReport.WriteChange, token));

        var prefix = new Argument<string>("prefix") { Arity = ArgumentArity.ZeroOrOne, DefaultValueFactory = _ => "" };
        var after = new Option<string?>("--after") { Description = "go on after this key" };
        var limit = new Option<int>("--limit") { Description = "at most this many (default 100, at most 1000)", DefaultValueFactory = _ => 100 };
        var list = new Command("list", "List the keys that begin with a prefix.") { prefix, after, limit, read };
        list.SetAction((parsed, token) => SendAsync(
            parsed,
            HttpMethod.Get,
            FormattableString.Invariant($"state?prefix={Uri.EscapeDataString(parsed.GetValue(prefix)!)}&limit={parsed.GetValue(limit)}&read={Uri.EscapeDataString(parsed.GetValue(read)!)}")
                + (parsed.GetValue(after) is { } from ? $"&after={Uri.EscapeDataString(from)}" : ""),
            null,
            ClusterReport.WriteKeys,
            token));
        return new Command("state", "Read and change the state that all nodes share.") { get, set, delete, list };
    }

    private static string KeyPath(ParseResult parsed, Argument<string> key) => $"state/{Uri.EscapeDataString(parsed.GetValue(key)!)}";

    private static async Task<byte[]> ReadInputAsync(CancellationToken token)
    {
        await using var input = Console.OpenStandardInput();
        using var value = new MemoryStream();
        await input.CopyToAsync(value, token);
        return value.ToArray();
    }

    private async Task<int> SendAsync(
        ParseResult parsed, HttpMethod method, string path, byte[]? content, Action<JsonElement> write, CancellationToken token) =>
        ClientOf(parsed) is { } client
            ? await client.SendAsync(method, Root + path, content, parsed.GetValue(_json) ? Report.WriteJson : write, token)
            : ExitCode.BadConfiguration;

    private async Task<int> FetchAsync(ParseResult parsed, string path, CancellationToken token) =>
        ClientOf(parsed) is { } client
            ? await client.FetchAsync(Root + path, WriteValue, token)
            : ExitCode.BadConfiguration;

    private static void WriteValue(byte[] value)
    {
        using var output = Console.OpenStandardOutput();
        output.Write(value);
        if (!Console.IsOutputRedirected)
        {
            Console.Out.WriteLine();
        }
    }

    private AdministrationClient? ClientOf(ParseResult parsed)
    {
        var loaded = common.Load(parsed);
        return CommonOptions.Report(loaded, Console.Error) ? new AdministrationClient(loaded.Options.Http) : null;
    }
}
