using System.Buffers.Binary;
using System.IO.Hashing;

namespace Quorumail.Cluster.Journal;

/// <summary>What a record's payload is.</summary>
internal enum RecordKind : byte
{
    /// <summary>Commands in the form of <see cref="Log.LogEntryFormat"/>, or nothing: a barrier.</summary>
    Commands = 0,

    /// <summary>The cluster's members from here on.</summary>
    Configuration = 1,
}

/// <summary>
/// The header of one entry in a segment. Little-endian; records are padded with zeros to a multiple of 8 bytes.
/// <code>
/// offset size
///  0      8   XxHash3 of everything that follows, payload included
///  8      4   length of the payload
/// 12      1   kind: 0 commands, 1 configuration
/// 13      3   zero
/// 16      8   index
/// 24      8   term
/// 32      8   index up to which the journal was durable when this was appended
/// 40          payload
/// </code>
/// The last number tells a torn tail from a corrupt record: if a later record says that an unreadable one was durable,
/// it has been destroyed since.
/// </summary>
internal readonly record struct JournalRecord(long Index, long Term, RecordKind Kind, int Length, long Durable)
{
    public const int HeaderSize = 40;

    private const int Alignment = 8;

    /// <summary>Bytes on the disk of a record with this payload.</summary>
    public static int SizeOf(int payloadLength) =>
        (HeaderSize + payloadLength + Alignment - 1) / Alignment * Alignment;

    /// <summary>Writes header and payload, padded; the destination must be of <see cref="SizeOf"/>.</summary>
    public void Write(Span<byte> destination, ReadOnlySpan<byte> payload)
    {
        destination[..HeaderSize].Clear();
        BinaryPrimitives.WriteInt32LittleEndian(destination[8..], payload.Length);
        destination[12] = (byte)Kind;
        BinaryPrimitives.WriteInt64LittleEndian(destination[16..], Index);
        BinaryPrimitives.WriteInt64LittleEndian(destination[24..], Term);
        BinaryPrimitives.WriteInt64LittleEndian(destination[32..], Durable);
        payload.CopyTo(destination[HeaderSize..]);
        destination[(HeaderSize + payload.Length)..].Clear();
        ulong checksum = XxHash3.HashToUInt64(destination[8..(HeaderSize + payload.Length)]);
        BinaryPrimitives.WriteUInt64LittleEndian(destination, checksum);
    }

    /// <summary>Reads the record at the start of a span; false if there is none whose checksum is right.</summary>
    public static bool TryRead(ReadOnlySpan<byte> source, out JournalRecord record)
    {
        record = default;
        if (source.Length < HeaderSize)
        {
            return false;
        }

        int length = BinaryPrimitives.ReadInt32LittleEndian(source[8..]);
        if (length < 0 || length > source.Length - HeaderSize || source[12] > (byte)RecordKind.Configuration)
        {
            return false;
        }

        if (XxHash3.HashToUInt64(source[8..(HeaderSize + length)]) != BinaryPrimitives.ReadUInt64LittleEndian(source))
        {
            return false;
        }

        record = new JournalRecord(
            BinaryPrimitives.ReadInt64LittleEndian(source[16..]),
            BinaryPrimitives.ReadInt64LittleEndian(source[24..]),
            (RecordKind)source[12],
            length,
            BinaryPrimitives.ReadInt64LittleEndian(source[32..]));
        return true;
    }
}
