using System.Text.Json;

namespace Quorumail.Core.Cluster;

/// <summary>What a heartbeat says of a node besides its role.</summary>
/// <param name="Version">The program's version, <c>vX.Y.Z</c>.</param>
/// <param name="UptimeSeconds">Seconds since its process began.</param>
/// <param name="ActiveConnections">Open SMTP connections.</param>
/// <param name="MessagesProcessed">Messages accepted since its process began.</param>
/// <param name="CpuUsage">Per cent of one core, 0 to 100 × cores, averaged since the last heartbeat.</param>
/// <param name="MemoryUsageMb">Resident memory in MiB.</param>
public sealed record HeartbeatMetadata(
    string Version,
    long UptimeSeconds,
    long ActiveConnections,
    long MessagesProcessed,
    double CpuUsage,
    long MemoryUsageMb)
{
    private const int VersionMax = 64;

    /// <summary>The fields as the guide prints them; <see cref="CpuUsage"/> with one decimal.</summary>
    public void WriteFields(Utf8JsonWriter json)
    {
        ArgumentNullException.ThrowIfNull(json);
        json.WriteString("version"u8, Version);
        json.WriteNumber("uptime_seconds"u8, UptimeSeconds);
        json.WriteNumber("active_connections"u8, ActiveConnections);
        json.WriteNumber("messages_processed"u8, MessagesProcessed);
        json.WriteNumber("cpu_usage"u8, Math.Round(CpuUsage, 1));
        json.WriteNumber("memory_usage_mb"u8, MemoryUsageMb);
    }

    internal static HeartbeatMetadata? ReadFields(ref JsonFields fields)
    {
        var (version, uptime, connections, messages, cpu, memory) = ("", 0L, 0L, 0L, 0.0, 0L);
        while (fields.Next())
        {
            if (fields.Is("version"u8, 0))
            {
                version = fields.Text(VersionMax);
            }
            else if (fields.Is("uptime_seconds"u8, 1))
            {
                uptime = fields.Count();
            }
            else if (fields.Is("active_connections"u8, 2))
            {
                connections = fields.Count();
            }
            else if (fields.Is("messages_processed"u8, 3))
            {
                messages = fields.Count();
            }
            else if (fields.Is("cpu_usage"u8, 4))
            {
                cpu = fields.Number();
            }
            else if (fields.Is("memory_usage_mb"u8, 5))
            {
                memory = fields.Count();
            }
            else
            {
                fields.Skip();
            }
        }

        return new HeartbeatMetadata(version, uptime, connections, messages, cpu, memory);
    }
}
