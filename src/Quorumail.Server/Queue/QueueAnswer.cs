using System.Buffers.Binary;
using Quorumail.Core.Queue;

namespace Quorumail.Server.Queue;

/// <summary>What the queue says to a command when it is applied, as it stands in the log's results.</summary>
/// <param name="Status">Done, or why not.</param>
/// <param name="Matched">Messages that an operator's command has changed.</param>
/// <param name="HasMore">There were more than the command's limit.</param>
internal readonly record struct QueueAnswer(ApplyStatus Status, int Matched = 0, bool HasMore = false)
{
    private const int LongLength = 2 + sizeof(int);

    private static readonly ReadOnlyMemory<byte>[] Short =
        [.. Enum.GetValues<ApplyStatus>().Order().Select(status => new ReadOnlyMemory<byte>([(byte)status]))];

    /// <summary>The status alone: one byte, which most answers are.</summary>
    public static ReadOnlyMemory<byte> Encode(ApplyStatus status) => Short[(int)status];

    /// <summary>Status, whether there are more, and how many there were (4 bytes, little-endian).</summary>
    public ReadOnlyMemory<byte> Encode()
    {
        var bytes = new byte[LongLength];
        bytes[0] = (byte)Status;
        bytes[1] = HasMore ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(2), Matched);
        return bytes;
    }

    /// <summary>Null if the log has no answer of the queue any more.</summary>
    public static QueueAnswer? Decode(ReadOnlySpan<byte> bytes) => bytes.Length switch
    {
        1 => new QueueAnswer((ApplyStatus)bytes[0]),
        LongLength => new QueueAnswer((ApplyStatus)bytes[0], BinaryPrimitives.ReadInt32LittleEndian(bytes[2..]), bytes[1] != 0),
        _ => null,
    };
}
