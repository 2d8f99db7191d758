using System.Text.Json;
using static Quorumail.Server.CommandLine.Report;

namespace Quorumail.Server.CommandLine;

/// <summary>Shows the server's answers about the queue as tables.</summary>
internal static class QueueReport
{
    /// <summary>A line a recipient.</summary>
    public static void WriteMessages(JsonElement answer, bool isFiltered)
    {
        var table = NewTable("id", "since", "from", "to", "state", "tries", "next", "last reply");
        foreach (var message in answer.GetProperty("messages").EnumerateArray())
        {
            foreach (var recipient in message.GetProperty("recipients").EnumerateArray())
            {
                AddRow(
                    table,
                    Text(message, "id"),
                    Time(message, "created_at"),
                    $"<{Text(message, "from")}>",
                    $"<{Text(recipient, "to")}>",
                    Text(recipient, "status"),
                    Text(recipient, "attempts"),
                    Time(recipient, "next_retry_at"),
                    Text(recipient, "last_error"));
            }

            var more = message.GetProperty("recipient_count").GetInt32() - message.GetProperty("recipients").GetArrayLength();
            if (more > 0)
            {
                AddRow(table, Text(message, "id"), "", "", $"and {more} more", "", "", "", "");
            }
        }

        Console.Out.WriteLine(
            $"{Text(answer, "total")} messages in the queue: {Text(answer, "pending")} pending, {Text(answer, "processing")} in delivery, {Text(answer, "retry")} waiting to be tried again, {Text(answer, "held")} held");
        if (isFiltered)
        {
            Console.Out.WriteLine($"matching: {Text(answer, "matched")}");
        }

        Write(table);
        WriteNext(answer);
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
        var table = NewTable("to", "state", "tries", "next", "next hop", "status", "last reply");
        foreach (var recipient in message.GetProperty("recipients").EnumerateArray())
        {
            AddRow(
                table,
                $"<{Text(recipient, "to")}>",
                Text(recipient, "status") + (Text(recipient, "suspended") is "true" ? ", suspended" : ""),
                Text(recipient, "attempts"),
                Time(recipient, "next_retry_at"),
                Text(recipient, "next_hop"),
                Text(recipient, "last_status"),
                Text(recipient, "last_reply"));
        }

        Write(table);
    }

    /// <summary>A line a domain.</summary>
    public static void WriteDomains(JsonElement answer)
    {
        var table = NewTable("domain", "messages", "pending", "processing", "retry", "held");
        foreach (var domain in answer.GetProperty("domains").EnumerateArray())
        {
            AddRow(
                table,
                Text(domain, "domain"),
                Text(domain, "total"),
                Text(domain, "pending"),
                Text(domain, "processing"),
                Text(domain, "retry"),
                Text(domain, "held"));
        }

        Write(table);
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
        WriteNext(answer);
    }

    private static string NameOf(JsonElement suspension) => Text(suspension, "name") is { Length: > 0 } name ? name : "<>";

    private static void WriteNext(JsonElement answer)
    {
        if (Text(answer, "next") is { Length: > 0 } next)
        {
            Console.Out.WriteLine($"There are more: --after {Printable(next)}");
        }
    }
}
