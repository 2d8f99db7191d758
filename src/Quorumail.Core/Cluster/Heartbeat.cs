using System.Buffers;

namespace Quorumail.Core.Cluster;

/// <summary>Frame type 1: a node says how it is (the guide's "Heartbeat Message").</summary>
/// <param name="NodeId">Who.</param>
/// <param name="Role">What it is.</param>
/// <param name="Timestamp">Seconds since 1970, by its own wall clock: shown, never decided by.</param>
/// <param name="Metadata">How it is.</param>
public sealed record Heartbeat(string NodeId, NodeRole Role, long Timestamp, HeartbeatMetadata Metadata)
{
    private static readonly string[] Roles = ["follower", "candidate", "leader"];

    /// <summary>What the node says of its health: an addition to the guide; null from a node that says nothing.</summary>
    public NodeCondition? Condition { get; init; }

    /// <summary>The message, or null if it isn't one.</summary>
    public static Heartbeat? Read(ReadOnlySpan<byte> json) => JsonFields.Read<Heartbeat>(json, ReadFields);

    /// <summary>The message as the guide prints it.</summary>
    public void Write(IBufferWriter<byte> target) => JsonFields.Write(target, this, static (json, message) =>
    {
        json.WriteString("node_id"u8, message.NodeId);
        json.WriteString("role"u8, Roles[(int)message.Role]);
        json.WriteNumber("timestamp"u8, message.Timestamp);
        json.WriteStartObject("metadata"u8);
        message.Metadata.WriteFields(json);
        json.WriteEndObject();
        if (message.Condition is { } condition)
        {
            json.WriteStartObject("condition"u8);
            condition.WriteFields(json);
            json.WriteEndObject();
        }
    });

    private static Heartbeat? ReadFields(ref JsonFields fields)
    {
        var (nodeId, role, timestamp) = ("", -1, 0L);
        HeartbeatMetadata? metadata = null;
        NodeCondition? condition = null;
        while (fields.Next())
        {
            if (fields.Is("node_id"u8, 0))
            {
                nodeId = fields.Name();
            }
            else if (fields.Is("role"u8, 1))
            {
                role = Array.IndexOf(Roles, fields.Text(16));
            }
            else if (fields.Is("timestamp"u8, 2))
            {
                timestamp = fields.Integer();
            }
            else if (fields.Is("metadata"u8, 3))
            {
                metadata = fields.Object<HeartbeatMetadata>(HeartbeatMetadata.ReadFields);
            }
            else if (fields.Is("condition"u8, 4))
            {
                condition = fields.Object<NodeCondition>(NodeCondition.ReadFields);
            }
            else
            {
                fields.Skip();
            }
        }

        return nodeId.Length > 0 && role >= 0 && fields.Has(2) && metadata is not null
            ? new Heartbeat(nodeId, (NodeRole)role, timestamp, metadata) { Condition = condition }
            : null;
    }
}
