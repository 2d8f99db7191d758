using System.Text.Json;
using static Quorumail.Server.CommandLine.Report;

namespace Quorumail.Server.CommandLine;

/// <summary>Shows the server's answers about the cluster as tables.</summary>
internal static class ClusterReport
{
    /// <summary>The cluster in a few lines.</summary>
    public static void WriteStatus(JsonElement answer)
    {
        var local = answer.GetProperty("local_node");
        var leader = Text(answer, "leader_id");
        var output = Console.Out;
        output.WriteLine($"nodes     {Text(answer, "total_nodes")}, {Text(answer, "healthy_nodes")} healthy, {Text(answer, "degraded_nodes")} of them degraded, {Text(answer, "unhealthy_nodes")} unhealthy");
        output.WriteLine($"leader    {(leader.Length > 0 ? Printable(leader) : "none")} in term {Text(answer, "term")}, quorum: {(answer.GetProperty("quorum").GetBoolean() ? "yes" : "no")}");
        if (Text(answer, "weakness") is { Length: > 0 } weakness)
        {
            output.WriteLine($"durability {Printable(weakness)}");
        }

        output.WriteLine($"log       committed {Text(answer, "commit_index")}, applied {Text(answer, "applied_index")}");
        output.WriteLine($"this node {Printable(Text(local, "id"))}, {Text(local, "role")}, {Text(local, "status")}{Because(local)}, up {Text(local, "uptime_seconds")} s");
    }

    /// <summary>A line a node.</summary>
    public static void WriteNodes(JsonElement answer)
    {
        var table = NewTable("id", "address", "role", "status", "heartbeat", "lag", "rtt ms", "cpu %", "MiB", "conns", "messages", "version", "reason");
        foreach (var node in answer.GetProperty("nodes").EnumerateArray())
        {
            var metadata = node.GetProperty("metadata");
            string Figure(string name) => metadata.ValueKind == JsonValueKind.Object ? Text(metadata, name) : "";
            AddRow(
                table,
                Text(node, "id"),
                Text(node, "address") is { Length: > 0 } address ? $"{address}:{Text(node, "port")}" : "",
                Text(node, "voter") is "false" ? "joining" : Text(node, "role"),
                Text(node, "status"),
                UnixTime(node, "last_heartbeat"),
                Text(node, "lag"),
                Text(node, "rtt_ms"),
                Figure("cpu_usage"),
                Figure("memory_usage_mb"),
                Figure("active_connections"),
                Figure("messages_processed"),
                Figure("version"),
                Text(node, "reason"));
        }

        Write(table);
    }

    /// <summary>A line an event.</summary>
    public static void WriteEvents(JsonElement answer)
    {
        var table = NewTable("time", "term", "event", "text");
        foreach (var happened in answer.GetProperty("events").EnumerateArray())
        {
            AddRow(table, Time(happened, "time"), Text(happened, "term"), Text(happened, "kind"), Text(happened, "text"));
        }

        Write(table);
    }

    /// <summary>A line a key.</summary>
    public static void WriteKeys(JsonElement answer)
    {
        var table = NewTable("key", "size", "version", "modified", "expires");
        foreach (var entry in answer.GetProperty("keys").EnumerateArray())
        {
            AddRow(table, Text(entry, "key"), Text(entry, "size"), Text(entry, "version"), Time(entry, "modified_at"), Time(entry, "expires_at"));
        }

        Write(table);
        if (Text(answer, "next") is { Length: > 0 } next)
        {
            Console.Out.WriteLine($"There are more: --after {Printable(next)}");
        }
    }

    /// <summary>What a write did.</summary>
    public static void WriteChange(JsonElement answer) => Console.Out.WriteLine(
        answer.TryGetProperty("deleted", out _)
            ? $"{Printable(Text(answer, "key"))} is deleted"
            : $"{Printable(Text(answer, "key"))} has version {Text(answer, "version")}");

    private static string Because(JsonElement node) => Text(node, "reason") is { Length: > 0 } reason ? $" ({Printable(reason)})" : "";

    private static string UnixTime(JsonElement element, string name) =>
        element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number
            ? DateTimeOffset.FromUnixTimeSeconds(value.GetInt64()).ToString("yyyy-MM-dd HH:mm:ss'Z'", System.Globalization.CultureInfo.InvariantCulture)
            : "never";
}
