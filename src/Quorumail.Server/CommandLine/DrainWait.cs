using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using Quorumail.Server.Http;
using static Quorumail.Server.CommandLine.Report;

namespace Quorumail.Server.CommandLine;

/// <summary>Has a node drain, shows how far that is, and waits for the end.</summary>
/// <param name="client">The server that is asked.</param>
/// <param name="node">Which node; null: that of the server that is asked.</param>
/// <param name="json">Whether the outcome, and nothing else, is printed, as JSON.</param>
internal sealed class DrainWait(AdministrationClient client, string? node, bool json)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);

    private readonly string _path = "/api/cluster/drain" + (node is null ? "" : $"?node={Uri.EscapeDataString(node)}");
    private JsonElement _answer;

    /// <summary>How long to wait.</summary>
    public static Option<string> TimeoutOption() => new("--timeout")
    {
        Description = "how long to wait: seconds, or 30s, 5m, 1h (default 10m)",
        DefaultValueFactory = _ => "10m",
    };

    /// <summary>Reads it; otherwise says on standard error what is wrong.</summary>
    public static bool TryReadTimeout(string text, out TimeSpan timeout)
    {
        if (TimeToLive.TryParse(text, out timeout))
        {
            return true;
        }

        Console.Error.WriteLine($"smtp-server: --timeout {Printable(text)} is no time: seconds, or 30s, 5m, 1h");
        return false;
    }

    /// <summary>Begins, and shows what is to be done.</summary>
    public Task<int> BeginAsync(CancellationToken token) => AskAsync(HttpMethod.Post, Show, token);

    /// <summary>Has it take mail again.</summary>
    public Task<int> CancelAsync(CancellationToken token) => AskAsync(
        HttpMethod.Delete, answer => Say($"{NameIn(answer)} takes mail and messages again."), token);

    /// <summary>Drains and waits until nothing depends on the node; shows the outcome.</summary>
    public async Task<int> EndAsync(TimeSpan limit, CancellationToken token)
    {
        var code = await EndOfAsync(limit, token);
        if (code == ExitCode.Success)
        {
            Say($"Nothing depends on {NameIn(_answer)} any more: it can be stopped, or leave. It takes mail again after a start, or after drain --cancel.");
        }

        if (json && _answer.ValueKind == JsonValueKind.Object)
        {
            WriteJson(_answer);
        }

        return code;
    }

    /// <summary>Drains and waits until nothing depends on the node.</summary>
    public async Task<int> EndOfAsync(TimeSpan limit, CancellationToken token)
    {
        var started = Stopwatch.GetTimestamp();
        var code = await AskAsync(HttpMethod.Post, Keep, token);
        var shown = "";
        while (code == ExitCode.Success && !_answer.GetProperty("done").GetBoolean())
        {
            var line = Line(_answer);
            if (line != shown)
            {
                Say(shown = line);
            }

            if (IsStuck(_answer) || Stopwatch.GetElapsedTime(started) >= limit)
            {
                await ComplainAsync();
                return ExitCode.NotDone;
            }

            await Task.Delay(Interval, token);
            code = await AskAsync(HttpMethod.Get, Keep, token);
        }

        return code;
    }

    /// <summary>Says what is lost if the node's disk goes now.</summary>
    public Task<int> TellLossAsync(CancellationToken token) => AskAsync(
        HttpMethod.Get,
        answer => Console.Error.WriteLine(
            $"smtp-server: by force: {Text(answer, "only_copy")} messages are on no other disk than that of {NameIn(answer)} and are lost; "
            + $"{Text(answer, "copies_missing")} are on fewer than {Text(answer, "wanted_copies")} other living disks; "
            + $"{Text(answer, "owned")} are its to deliver: attempts under way are listed as suspects"),
        token);

    private static string NameIn(JsonElement answer) => Printable(Text(answer, "node"));

    private static string Line(JsonElement answer) =>
        $"{NameIn(answer)} drains: {string.Join("; ", answer.GetProperty("waits_for").EnumerateArray().Select(reason => Printable(reason.GetString()!)))}";

    // All else is done, and no more copies can be made.
    private static bool IsStuck(JsonElement answer) =>
        Text(answer, "stuck").Length > 0 && answer.GetProperty("owned").GetInt64() == 0 && answer.GetProperty("waits_for").GetArrayLength() == 1;

    private async Task ComplainAsync()
    {
        var reasons = string.Join("; ", _answer.GetProperty("waits_for").EnumerateArray().Select(reason => Printable(reason.GetString()!)));
        var only = Text(_answer, "only_copy");
        await Console.Error.WriteLineAsync(
            $"smtp-server: something depends on {NameIn(_answer)} still: {reasons}"
            + (Text(_answer, "stuck") is { Length: > 0 } stuck ? $" ({Printable(stuck)})" : "")
            + $". It goes on draining. {only} messages are on no other disk.");
    }

    private void Keep(JsonElement answer) => _answer = answer.Clone();

    private void Show(JsonElement answer)
    {
        if (json)
        {
            WriteJson(answer);
        }
        else
        {
            Say(Line(answer));
        }
    }

    private void Say(string text)
    {
        if (!json)
        {
            Console.Out.WriteLine(text);
        }
    }

    private Task<int> AskAsync(HttpMethod method, Action<JsonElement> write, CancellationToken token) =>
        client.SendAsync(method, _path, null, write, token);
}
