using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text;
using System.Text.Json;
using Quorumail.Core.Mail;
using Quorumail.Server.Http;

namespace Quorumail.Server.CommandLine;

/// <summary><c>smtp-server queue</c>: asks the running server about its queue, and changes it.</summary>
internal sealed class QueueCommand
{
    private const string Root = "/api/queue";

    private readonly CommonOptions _common;
    private readonly Option<bool> _json = new("--json") { Description = "print the answer as JSON", Recursive = true };
    private readonly Option<string?> _sender = new("--sender") { Description = "from this address; <> is the null sender", HelpName = "ADDRESS" };
    private readonly Option<string?> _recipient = new("--recipient") { Description = "to this address, not delivered yet", HelpName = "ADDRESS" };
    private readonly Option<string?> _domain = new("--domain") { Description = "to this domain, not delivered yet", HelpName = "DOMAIN" };
    private readonly Option<string?> _state = new("--state") { Description = "pending, processing, retry or held" };
    private readonly Option<string?> _age = new("--age") { Description = "in the queue for at least this long: seconds, or 15m, 2h, 1d" };
    private readonly Option<bool> _all = new("--all") { Description = "every message" };
    private readonly Option<string?> _reason = new("--reason") { Description = "kept for other operators, one line" };

    public QueueCommand(CommonOptions common)
    {
        _common = common;
        _state.AcceptOnlyFromAmong(QueueFilter.States);
        _age.Validators.Add(CheckSpan);
    }

    /// <summary>The command with its subcommands.</summary>
    public Command Create()
    {
        var queue = new Command("queue", "Ask the running server about its queue, or change it.")
        {
            List(),
            Show(),
            History(),
            Listing("domains", "Count the messages by domain and state, the most first.", "/domains", QueueReport.WriteDomains),
            Listing("suspects", "List the deliveries that may have happened twice, with the reason.", "/suspects", QueueReport.WriteSuspects),
            Change("hold", "Hold messages: no attempt begins until they are released.", HttpMethod.Post, "held"),
            Change("release", "End a hold.", HttpMethod.Post, "released"),
            Change("requeue", "Try messages at once that wait for their next attempt.", HttpMethod.Post, "requeued"),
            Change("delete", "Delete messages, without a notice to anybody.", HttpMethod.Delete, "deleted"),
            Listing("removals", "List the messages that operators have deleted lately.", "/removals", QueueReport.WriteRemovals),
            Suspend(),
            Resume(),
            Listing("suspensions", "List the destinations and senders that are suspended.", "/suspensions", QueueReport.WriteSuspensions),
        };
        queue.Options.Add(_json);
        return queue;
    }

    private static Option<int> NewLimit() =>
        new("--limit") { Description = "at most this many (default 100, at most 10000)", DefaultValueFactory = _ => 100 };

    private static void CheckSpan(OptionResult result)
    {
        if (!TimeToLive.TryParse(result.GetValueOrDefault<string>() ?? "", out _))
        {
            result.AddError($"{result.Option.Name} is a number of seconds, or a number with ms, s, m, h or d");
        }
    }

    // Not the server's business: the name of a list is a path beside the ids.
    private static void CheckIds(SymbolResult result, IReadOnlyList<Token> ids)
    {
        foreach (var token in ids.Where(token => !QueueId.TryParse(token.Value, out _)))
        {
            result.AddError($"{token.Value} is no id of a message: these have 16 characters, and queue list shows them");
        }
    }

    private Command List()
    {
        var limit = NewLimit();
        var after = new Option<string?>("--after") { Description = "go on after this id", HelpName = "ID" };
        var command = new Command("list", "List messages, oldest first.") { _sender, _recipient, _domain, _state, _age, after, limit };
        command.SetAction((parsed, token) =>
        {
            var conditions = Conditions(parsed);
            return AskAsync(
                parsed,
                new Query(Root).Add(conditions).Add("after", parsed.GetValue(after)).Add("limit", parsed.GetValue(limit)),
                answer => QueueReport.WriteMessages(answer, isFiltered: conditions.Any(condition => condition.Item2 is not null)),
                token);
        });
        return command;
    }

    private Command Show()
    {
        var id = new Argument<string>("id");
        id.Validators.Add(result => CheckIds(result, result.Tokens));
        var command = new Command("show", "Show one message with its recipients and attempts.") { id };
        command.SetAction((parsed, token) => AskAsync(parsed, new Query(PathOf(parsed.GetValue(id)!)), QueueReport.WriteMessage, token));
        return command;
    }

    private Command History()
    {
        var id = new Argument<string>("id");
        var command = new Command("history", "Show what has become of a message, also when it has left the queue.") { id };
        command.SetAction((parsed, token) => AskAsync(parsed, new Query(PathOf(parsed.GetValue(id)!) + "/history"), HistoryReport.Write, token));
        return command;
    }

    private Command Listing(string name, string description, string path, Action<JsonElement> write)
    {
        var limit = NewLimit();
        var after = new Option<long?>("--after") { Description = "go on after this number" };
        var command = new Command(name, description) { after, limit };
        command.SetAction((parsed, token) => AskAsync(
            parsed, new Query(Root + path).Add("after", parsed.GetValue(after)).Add("limit", parsed.GetValue(limit)), write, token));
        return command;
    }

    private Command Suspend()
    {
        var timeToLive = new Option<string?>("--ttl") { Description = "after which it ends by itself: seconds, or 15m, 2h, 1d" };
        timeToLive.Validators.Add(CheckSpan);
        var command = new Command("suspend", "Begin no delivery to a domain, or from a sender, any more.") { _domain, _sender, _reason, timeToLive };
        command.Validators.Add(CheckSubject);
        command.SetAction((parsed, token) => SendAsync(
            parsed, HttpMethod.Post, Subject(parsed, "/suspend").Add("reason", parsed.GetValue(_reason)).Add("ttl", parsed.GetValue(timeToLive)), QueueReport.WriteSuspended, token));
        return command;
    }

    private Command Resume()
    {
        var command = new Command("resume", "End a suspension.") { _domain, _sender };
        command.Validators.Add(CheckSubject);
        command.SetAction((parsed, token) => SendAsync(parsed, HttpMethod.Post, Subject(parsed, "/resume"), QueueReport.WriteResumed, token));
        return command;
    }

    private Query Subject(ParseResult parsed, string path) =>
        new Query(Root + path).Add("domain", parsed.GetValue(_domain)).Add("sender", parsed.GetValue(_sender));

    private void CheckSubject(CommandResult result)
    {
        if (result.GetValue(_domain) is null == result.GetValue(_sender) is null)
        {
            result.AddError("either --domain or --sender is needed");
        }
    }

    private Command Change(string name, string description, HttpMethod method, string done)
    {
        var isDelete = method == HttpMethod.Delete;
        var ids = new Argument<string[]>("id") { Description = "the messages; or say by options which", Arity = ArgumentArity.ZeroOrMore };
        var yes = new Option<bool>("--yes") { Description = "don't ask" };
        var command = new Command(name, description) { ids, _sender, _recipient, _domain, _state, _age, _all };
        if (isDelete)
        {
            command.Options.Add(_reason);
            command.Options.Add(yes);
        }

        command.Validators.Add(result =>
        {
            var isFiltered = ((Option<string?>[])[_sender, _recipient, _domain, _state, _age]).Any(option => result.GetValue(option) is not null);
            if ((result.GetValue(ids)!.Length > 0 ? 1 : 0) + (isFiltered ? 1 : 0) + (result.GetValue(_all) ? 1 : 0) != 1)
            {
                result.AddError("which messages? Give ids, or conditions, or --all");
            }

            CheckIds(result, result.GetResult(ids)?.Tokens ?? []);
        });
        command.SetAction(async (parsed, token) =>
        {
            var suffix = isDelete ? "" : "/" + name;
            var reason = isDelete ? parsed.GetValue(_reason) : null;
            if (parsed.GetValue(ids) is { Length: > 0 } messages)
            {
                return await ChangeEachAsync(parsed, method, messages, suffix, reason, done, token);
            }

            var conditions = Conditions(parsed);
            if (isDelete && !parsed.GetValue(yes) && await ConfirmAsync(parsed, conditions, token) is var code and not ExitCode.Success)
            {
                return code;
            }

            var query = new Query(Root + suffix).Add(conditions).Add("all", parsed.GetValue(_all) ? "true" : null).Add("reason", reason);
            return await SendAsync(parsed, method, query, answer => QueueReport.WriteChanged(answer, done), token);
        });
        return command;
    }

    private async Task<int> ChangeEachAsync(
        ParseResult parsed, HttpMethod method, string[] messages, string suffix, string? reason, string done, CancellationToken token)
    {
        var worst = ExitCode.Success;
        foreach (var message in messages)
        {
            var code = await SendAsync(
                parsed, method, new Query(PathOf(message) + suffix).Add("reason", reason), answer => QueueReport.WriteChangedMessage(answer, done), token);
            worst = Math.Max(worst, code);
        }

        return worst;
    }

    // What is deleted is gone: whoever does not say --yes is told first how much it is.
    private async Task<int> ConfirmAsync(ParseResult parsed, IReadOnlyList<(string, string?)> conditions, CancellationToken token)
    {
        if (ClientOf(parsed) is not { } client)
        {
            return ExitCode.BadConfiguration;
        }

        var found = 0;
        var code = await client.AskAsync(
            new Query(Root).Add(conditions).Add("limit", 1).ToString(), answer => found = answer.GetProperty("matched").GetInt32(), token);
        if (code != ExitCode.Success)
        {
            return code;
        }

        await Console.Error.WriteAsync($"Delete {Plural(found)} for good? [y/N] ");
        if (await Console.In.ReadLineAsync(token) is { } reply && reply.Trim().ToUpperInvariant() is "Y" or "YES")
        {
            return ExitCode.Success;
        }

        await Console.Error.WriteLineAsync("smtp-server: nothing was deleted; --yes deletes without asking");
        return ExitCode.BadConfiguration;
    }

    private static string Plural(int count) => count == 1 ? "1 message" : FormattableString.Invariant($"{count} messages");

    private static string PathOf(string id) => $"{Root}/{Uri.EscapeDataString(id)}";

    private (string, string?)[] Conditions(ParseResult parsed) =>
    [
        ("sender", parsed.GetValue(_sender)),
        ("recipient", parsed.GetValue(_recipient)),
        ("domain", parsed.GetValue(_domain)),
        ("state", parsed.GetValue(_state)),
        ("age", parsed.GetValue(_age)),
    ];

    private Task<int> AskAsync(ParseResult parsed, Query query, Action<JsonElement> write, CancellationToken token) =>
        SendAsync(parsed, HttpMethod.Get, query, write, token);

    private async Task<int> SendAsync(ParseResult parsed, HttpMethod method, Query query, Action<JsonElement> write, CancellationToken token) =>
        ClientOf(parsed) is { } client
            ? await client.SendAsync(method, query.ToString(), null, parsed.GetValue(_json) ? Report.WriteJson : write, token)
            : ExitCode.BadConfiguration;

    private AdministrationClient? ClientOf(ParseResult parsed)
    {
        var loaded = _common.Load(parsed);
        return CommonOptions.Report(loaded, Console.Error) ? new AdministrationClient(loaded.Options.Http) : null;
    }

    /// <summary>A path with a query; what is null is left out.</summary>
    private sealed class Query(string path)
    {
        private readonly StringBuilder _text = new(path);
        private char _separator = '?';

        public Query Add(string name, object? value)
        {
            if (value is not null)
            {
                _text.Append(_separator).Append(name).Append('=').Append(Uri.EscapeDataString(FormattableString.Invariant($"{value}")));
                _separator = '&';
            }

            return this;
        }

        public Query Add(IEnumerable<(string Name, string? Value)> pairs)
        {
            foreach (var (name, value) in pairs)
            {
                Add(name, value);
            }

            return this;
        }

        public override string ToString() => _text.ToString();
    }
}
