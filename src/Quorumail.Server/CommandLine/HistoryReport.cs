using System.Text.Json;
using static Quorumail.Server.CommandLine.Report;

namespace Quorumail.Server.CommandLine;

/// <summary>Shows what has become of a message: a line a step, and below it a line a recipient.</summary>
internal static class HistoryReport
{
    /// <summary>Writes the answer of <c>/api/queue/{id}/history</c>.</summary>
    public static void Write(JsonElement answer)
    {
        var output = Console.Out;
        output.WriteLine($"{Text(answer, "id")} from <{Printable(Text(answer, "from"))}>, received {Time(answer, "created_at")}");
        if (Text(answer, "incomplete") is { Length: > 0 } failure)
        {
            output.WriteLine($"incomplete, nothing more is noted: {Printable(failure)}");
        }

        foreach (var step in answer.GetProperty("events").EnumerateArray())
        {
            output.WriteLine($"{Time(step, "at")} {Headline(step)}");
            foreach (var recipient in step.GetProperty("recipients").EnumerateArray())
            {
                output.WriteLine($"    <{Printable(Text(recipient, "to"))}> {Text(recipient, "outcome")}{Details(recipient)}");
            }
        }

        output.WriteLine(Text(answer, "in_queue") is "true" ? "It is in the queue." : "It has left the queue.");
    }

    private static string Headline(JsonElement step) => Text(step, "what") switch
    {
        "attempt" => $"attempt {Text(step, "attempt")} by {Printable(Text(step, "node"))}",
        "deleted" => Text(step, "reason") is { Length: > 0 } reason ? $"deleted by an operator: {Printable(reason)}" : "deleted by an operator",
        "withdrawn" => "withdrawn: its client was told 451",
        var other => other,
    };

    private static string Details(JsonElement recipient)
    {
        var hop = Text(recipient, "next_hop") is { Length: > 0 } name ? $" by {Printable(name)}" : "";
        var next = Time(recipient, "next_retry_at") is { Length: > 0 } time ? $"; again {time}" : "";
        return $"{hop}: {Text(recipient, "status")} {Printable(Text(recipient, "reply"))}{next}";
    }
}
