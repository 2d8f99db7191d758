using System.Text.Json;
using static Quorumail.Server.CommandLine.Report;

namespace Quorumail.Server.CommandLine;

/// <summary>Shows the server's answers about the queue as tables.</summary>
internal static class QueueReport
{
    /// <summary>A line a recipient.</summary>
    public static void WriteMessages(JsonElement answer, bool isFiltered)
    {
        var table = NewTable("id", "state", "age", "tries", "next", "from", "to", "why");
        foreach (var message in answer.GetProperty("messages").EnumerateArray())
        {
            foreach (var recipient in message.GetProperty("recipients").EnumerateArray())
            {
                AddRow(
                    table,
                    Text(message, "id"),
                    StateOf(message, recipient),
                    Span(TimeSpan.FromSeconds(message.GetProperty("age_seconds").GetInt64())),
                    Text(recipient, "attempts"),
                    Next(message, recipient),
                    $"<{Text(message, "from")}>",
                    $"<{Text(recipient, "to")}>",
                    Why(recipient, "last_error"));
            }

            var more = message.GetProperty("recipient_count").GetInt32() - message.GetProperty("recipients").GetArrayLength();
            if (more > 0)
            {
                AddRow(table, Text(message, "id"), Text(message, "status"), "", "", "", "", $"and {more} more", "");
            }
        }

        if (Text(answer, "quorum") is "false")
        {
            Console.Out.WriteLine(
                $"This node has no majority: it shows what it knew {(Time(answer, "as_of") is { Length: > 0 } time ? $"at {time}, cluster time" : "when it started")}.");
        }

        Console.Out.WriteLine(
            $"{Text(answer, "total")} messages in the queue: {Text(answer, "pending")} pending, {Text(answer, "processing")} in delivery, {Text(answer, "retry")} waiting to be tried again, {Text(answer, "held")} held");
        if (isFiltered)
        {
            Console.Out.WriteLine($"matching: {Text(answer, "matched")}");
        }

        Write(table);
        if (Text(answer, "next") is { Length: > 0 } next)
        {
            Console.Out.WriteLine($"There are more: --after {next}");
        }
    }

    /// <summary>One message in a few lines, then a line a recipient.</summary>
    public static void WriteMessage(JsonElement message)
    {
        var output = Console.Out;
        var holders = message.GetProperty("holders").EnumerateArray().Select(holder => Printable(Text(holder, "node")));
        output.WriteLine($"id      {Text(message, "id")}");
        output.WriteLine($"from    <{Printable(Text(message, "from"))}>{(Text(message, "envelope_id") is { Length: > 0 } envelope ? $" envelope id {Printable(envelope)}" : "")}");
        output.WriteLine($"state   {Text(message, "status")}{(Text(message, "held") is "true" && Text(message, "status") is not "held" ? ", held" : "")}, {Text(message, "attempts")} attempts");
        output.WriteLine($"since   {Time(message, "created_at")}, for {Text(message, "age_seconds")} s");
        output.WriteLine($"size    {Text(message, "size")}");
        output.WriteLine($"owner   {Printable(Text(message, "owner"))} in epoch {Text(message, "epoch")}; on the disks of {string.Join(", ", holders)}");
        output.WriteLine();
        var table = NewTable("to", "state", "tries", "next", "next hop", "status", "why");
        foreach (var recipient in message.GetProperty("recipients").EnumerateArray())
        {
            AddRow(
                table,
                $"<{Text(recipient, "to")}>",
                StateOf(message, recipient),
                Text(recipient, "attempts"),
                Time(recipient, "waits_until"),
                Text(recipient, "next_hop"),
                Text(recipient, "last_status"),
                Why(recipient, "last_reply"));
        }

        Write(table);
    }

    /// <summary>A line a domain.</summary>
    public static void WriteDomains(JsonElement answer)
    {
        var table = NewTable("domain", "messages", "pending", "processing", "retry", "held", "why nothing goes there");
        foreach (var domain in answer.GetProperty("domains").EnumerateArray())
        {
            AddRow(
                table,
                Text(domain, "domain"),
                Text(domain, "total"),
                Text(domain, "pending"),
                Text(domain, "processing"),
                Text(domain, "retry"),
                Text(domain, "held"),
                Text(domain, "waits_because") + (Time(domain, "waits_until") is { Length: > 0 } end ? $", until {end}" : ""));
        }

        Write(table);
        WriteNext(answer, "domains");
    }

    /// <summary>A line a removed message.</summary>
    public static void WriteRemovals(JsonElement answer)
    {
        var table = NewTable("id", "from", "recipients", "in doubt", "removed", "reason");
        foreach (var removal in answer.GetProperty("removals").EnumerateArray())
        {
            AddRow(
                table,
                Text(removal, "id"),
                $"<{Text(removal, "from")}>",
                Text(removal, "recipients"),
                Text(removal, "in_doubt"),
                Time(removal, "removed_at"),
                Text(removal, "reason"));
        }

        Write(table);
        WriteNext(answer, "removals");
    }

    /// <summary>A line a suspension.</summary>
    public static void WriteSuspensions(JsonElement answer)
    {
        var suspensions = answer.GetProperty("suspensions");
        if (suspensions.GetArrayLength() == 0)
        {
            Console.Out.WriteLine("Nothing is suspended.");
            return;
        }

        var table = NewTable("what", "name", "since", "until", "reason");
        foreach (var suspension in suspensions.EnumerateArray())
        {
            AddRow(table, Text(suspension, "scope"), NameOf(suspension), Time(suspension, "since"), Time(suspension, "expires_at"), Text(suspension, "reason"));
        }

        Write(table);
        WriteNext(answer, "suspensions");
    }

    /// <summary>That something is suspended now.</summary>
    public static void WriteSuspended(JsonElement suspension) => Console.Out.WriteLine(
        $"{Text(suspension, "scope")} {Printable(NameOf(suspension))} is suspended{(Time(suspension, "expires_at") is { Length: > 0 } end ? $" until {end}" : "")}");

    /// <summary>That something is suspended no more.</summary>
    public static void WriteResumed(JsonElement answer) => Console.Out.WriteLine(
        $"{(Text(answer, "resumed") is { Length: > 0 } name ? Printable(name) : "<>")} is resumed");

    /// <summary>How many messages were changed.</summary>
    public static void WriteChanged(JsonElement answer, string done) => Console.Out.WriteLine(
        $"{Text(answer, "matched")} messages {done}{(Text(answer, "complete") is "false" ? "; more have come in meanwhile" : "")}");

    /// <summary>Whether one message was changed.</summary>
    public static void WriteChangedMessage(JsonElement answer, string done) => Console.Out.WriteLine(
        $"{Text(answer, "id")} {(Text(answer, "matched") is "0" ? "nothing to do" : done)}");

    /// <summary>A line a suspect.</summary>
    public static void WriteSuspects(JsonElement answer)
    {
        var suspects = answer.GetProperty("suspects");
        if (Text(answer, "overflowed") is not "0" and var overflowed)
        {
            Console.Out.WriteLine($"{overflowed} more were dropped, the oldest, because the list was full.");
        }

        if (suspects.GetArrayLength() == 0)
        {
            Console.Out.WriteLine("No delivery is in doubt.");
            return;
        }

        var table = NewTable("id", "recipient", "attempt", "reason", "listed", "detail");
        foreach (var suspect in suspects.EnumerateArray())
        {
            AddRow(
                table,
                Text(suspect, "id"),
                Text(suspect, "recipient"),
                Text(suspect, "attempt"),
                Text(suspect, "reason"),
                Time(suspect, "listed_at"),
                Text(suspect, "detail"));
        }

        Write(table);
        WriteNext(answer, "suspects");
    }

    private static string NameOf(JsonElement suspension) => Text(suspension, "name") is { Length: > 0 } name ? name : "<>";

    private static void WriteNext(JsonElement answer, string what)
    {
        if (Text(answer, "next") is { Length: > 0 } next)
        {
            Console.Out.WriteLine($"There are more, {Text(answer, "total")} {what} in all: --after {next}");
        }
    }

    // As the message is filtered by; a suspension is the recipient's, and what is over is over for the recipient alone.
    private static string StateOf(JsonElement message, JsonElement recipient) =>
        Text(recipient, "status") is "delivered" or "bounced" ? Text(recipient, "status")
        : Text(recipient, "waits_for") is "resume" ? "suspended"
        : Text(message, "held") is "true" && Text(message, "status") is not "held" ? $"{Text(message, "status")}, held"
        : Text(message, "status");

    // From the cluster's time as the answer has it: the operator's clock may be another's.
    private static string Next(JsonElement message, JsonElement recipient)
    {
        if (!recipient.TryGetProperty("waits_until", out var until) || until.ValueKind != JsonValueKind.String)
        {
            return "";
        }

        var now = message.GetProperty("created_at").GetDateTimeOffset().AddSeconds(message.GetProperty("age_seconds").GetInt64());
        return until.GetDateTimeOffset() is var time && time > now ? $"in {Span(time - now)}" : "now";
    }

    // The reply alone tells why a recipient waits that is only to be tried again.
    private static string Why(JsonElement recipient, string reply) =>
        string.Join("; ", ((string[])[Text(recipient, "waits_because"), Text(recipient, reply)]).Where(text => text.Length > 0));

    private static string Span(TimeSpan span) =>
        span.TotalDays >= 2 ? FormattableString.Invariant($"{(long)span.TotalDays}d")
        : span.TotalHours >= 2 ? FormattableString.Invariant($"{(long)span.TotalHours}h")
        : span.TotalMinutes >= 2 ? FormattableString.Invariant($"{(long)span.TotalMinutes}m")
        : FormattableString.Invariant($"{(long)span.TotalSeconds}s");
}
