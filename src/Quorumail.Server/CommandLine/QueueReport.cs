using System.Text.Json;
using static Quorumail.Server.CommandLine.Report;

namespace Quorumail.Server.CommandLine;

/// <summary>Shows the server's answers about the queue as tables.</summary>
internal static class QueueReport
{
    /// <summary>A line a recipient.</summary>
    public static void WriteMessages(JsonElement answer)
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
        }

        Console.Out.WriteLine(
            $"{Text(answer, "total")} messages: {Text(answer, "pending")} pending, {Text(answer, "processing")} in delivery, {Text(answer, "retry")} waiting to be tried again");
        Write(table);
    }

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
    }
}
