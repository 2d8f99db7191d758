using System.Buffers;

namespace Quorumail.Core.Cluster;

/// <summary>Frame type 2: a change of shared state (the guide's "State Update Message").</summary>
/// <param name="Key">What changed.</param>
/// <param name="Value">Its new value; empty when deleted.</param>
/// <param name="Timestamp">Seconds since 1970.</param>
/// <param name="IsDeleted">Whether the key is gone: an addition to the guide, which has no word for it.</param>
public sealed record StateUpdate(string Key, string Value, long Timestamp, bool IsDeleted = false)
{
    /// <summary>Bytes of a key at most.</summary>
    public const int KeyMax = 4096;

    /// <summary>The message, or null if it isn't one.</summary>
    public static StateUpdate? Read(ReadOnlySpan<byte> json) => JsonFields.Read<StateUpdate>(json, ReadFields);

    /// <summary>The message as the guide prints it; <c>deleted</c> stands there only when true.</summary>
    public void Write(IBufferWriter<byte> target) => JsonFields.Write(target, this, static (json, message) =>
    {
        json.WriteString("key"u8, message.Key);
        json.WriteString("value"u8, message.Value);
        json.WriteNumber("timestamp"u8, message.Timestamp);
        if (message.IsDeleted)
        {
            json.WriteBoolean("deleted"u8, true);
        }
    });

    private static StateUpdate? ReadFields(ref JsonFields fields)
    {
        var (key, value, timestamp, isDeleted) = ("", "", 0L, false);
        while (fields.Next())
        {
            if (fields.Is("key"u8, 0))
            {
                key = fields.Text(KeyMax);
            }
            else if (fields.Is("value"u8, 1))
            {
                value = fields.Text(FrameLimits.BodyMax);
            }
            else if (fields.Is("timestamp"u8, 2))
            {
                timestamp = fields.Integer();
            }
            else if (fields.Is("deleted"u8, 3))
            {
                isDeleted = fields.Flag();
            }
            else
            {
                fields.Skip();
            }
        }

        return key.Length > 0 && fields.Has(2) && (fields.Has(1) || isDeleted)
            ? new StateUpdate(key, isDeleted ? "" : value, timestamp, isDeleted)
            : null;
    }
}
