using System.Globalization;
using System.Text.Json;

namespace Quorumail.Core.Cluster;

/// <summary>What a node says of its own health in its heartbeats.</summary>
/// <param name="Status">How it is; never <see cref="NodeStatus.Disconnected"/>.</param>
/// <param name="Reason">Why it is not healthy; empty if it is.</param>
/// <param name="AppliedIndex">Index of the last log entry that it has applied.</param>
public sealed record NodeCondition(NodeStatus Status, string Reason, long AppliedIndex)
{
    /// <summary>Bytes of a reason at most.</summary>
    public const int ReasonMax = 1024;

    /// <summary>Whether its disk is nearly full, so that nobody should give it what it need not have.</summary>
    public bool IsShortOfSpace { get; init; }

    /// <summary>How its state came about lately, for others to compare with theirs; null if it can't tell.</summary>
    public StateClaim? State { get; init; }

    private static readonly string[] Statuses = ["healthy", "degraded", "unhealthy"];

    /// <summary>Writes the fields of the object.</summary>
    public void WriteFields(Utf8JsonWriter json)
    {
        ArgumentNullException.ThrowIfNull(json);
        json.WriteString("status"u8, Statuses[(int)Status]);
        json.WriteString("reason"u8, Reason);
        json.WriteNumber("applied_index"u8, AppliedIndex);
        if (IsShortOfSpace)
        {
            json.WriteBoolean("short_of_space"u8, true);
        }

        if (State is { } state)
        {
            json.WriteNumber("state_index"u8, state.UpTo);
            json.WriteString("state_hash"u8, state.Hash.ToString("x16", CultureInfo.InvariantCulture));
        }
    }

    internal static NodeCondition? ReadFields(ref JsonFields fields)
    {
        var (status, reason, applied, isShort, stateIndex, stateHash) = (-1, "", 0L, false, 0L, "");
        while (fields.Next())
        {
            if (fields.Is("status"u8, 0))
            {
                status = Array.IndexOf(Statuses, fields.Text(32));
            }
            else if (fields.Is("reason"u8, 1))
            {
                reason = fields.Text(ReasonMax);
            }
            else if (fields.Is("applied_index"u8, 2))
            {
                applied = fields.Count();
            }
            else if (fields.Is("short_of_space"u8, 3))
            {
                isShort = fields.Flag();
            }
            else if (fields.Is("state_index"u8, 4))
            {
                stateIndex = fields.Count();
            }
            else if (fields.Is("state_hash"u8, 5))
            {
                stateHash = fields.Text(16);
            }
            else
            {
                fields.Skip();
            }
        }

        // A status that this version does not know is no reason to refuse the heartbeat.
        return status < 0 ? null : new NodeCondition((NodeStatus)status, reason, applied)
        {
            IsShortOfSpace = isShort,
            State = stateIndex > 0 && ulong.TryParse(stateHash, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var hash)
                ? new StateClaim(stateIndex, hash)
                : null,
        };
    }
}
