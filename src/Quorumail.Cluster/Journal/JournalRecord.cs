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

    /// <summary>Something of this node alone, no entry: a part of a body.</summary>
    Local = 2,
}

/// <summary>
/// The header of one record in a segment. Little-endian; records are padded with zeros to a multiple of 8 bytes.
/// <code>
/// offset size
///  0      8   XxHash3 of everything that follows, payload included, with the segment's seed
///  8      4   length of the payload
/// 12      1   kind: 0 commands, 1 configuration, 2 local
/// 13      3   lowest bytes of XxHash3 of the header, with the segment's seed and these and the first 8 bytes zero
/// 16      8   position: records rise by one, whatever their kind
/// 24      8   index of the entry; of the last one before it, if it is local
/// 32      8   term of the entry; zero, if it is local
/// 40      8   position up to which the journal was durable when this was written
/// 48          payload
/// </code>
/// The seed, random for each use of a file, keeps what an earlier use has left, and what a message's body may imitate, from
/// being taken for a record; the header has a checksum of its own so that nothing decides how much is hashed. The last
/// number tells a torn tail from a corrupt record: if a later record says that an unreadable one was durable, it has been
/// destroyed since.
/// </summary>
internal readonly record struct JournalRecord(long Position, long Index, long Term, RecordKind Kind, int Length, long Durable)
{
    public const int HeaderSize = 48;

    private const int Alignment = 8;

    /// <summary>Bytes on the disk of a record with this payload.</summary>
    public static int SizeOf(int payloadLength) =>
        (HeaderSize + payloadLength + Alignment - 1) / Alignment * Alignment;

    /// <summary>Completes a record, of <see cref="SizeOf"/> bytes, whose payload is in its place: header and padding.</summary>
    public void Seal(Span<byte> record, long seed)
    {
        record[..HeaderSize].Clear();
        BinaryPrimitives.WriteInt32LittleEndian(record[8..], Length);
        record[12] = (byte)Kind;
        BinaryPrimitives.WriteInt64LittleEndian(record[16..], Position);
        BinaryPrimitives.WriteInt64LittleEndian(record[24..], Index);
        BinaryPrimitives.WriteInt64LittleEndian(record[32..], Term);
        BinaryPrimitives.WriteInt64LittleEndian(record[40..], Durable);
        record[(HeaderSize + Length)..].Clear();
        ulong check = HeaderCheck(record, seed);
        record[13] = (byte)check;
        record[14] = (byte)(check >> 8);
        record[15] = (byte)(check >> 16);
        BinaryPrimitives.WriteUInt64LittleEndian(record, XxHash3.HashToUInt64(record[8..(HeaderSize + Length)], seed));
    }

    /// <summary>Reads the record at the start of a span; false if there is none whose checksum is right.</summary>
    public static bool TryRead(ReadOnlySpan<byte> source, long seed, out JournalRecord record)
    {
        record = default;
        if (source.Length < HeaderSize)
        {
            return false;
        }

        int length = BinaryPrimitives.ReadInt32LittleEndian(source[8..]);
        if (length < 0 || length > source.Length - HeaderSize || source[12] > (byte)RecordKind.Local)
        {
            return false;
        }

        ulong check = HeaderCheck(source, seed);
        if (source[13] != (byte)check || source[14] != (byte)(check >> 8) || source[15] != (byte)(check >> 16)
            || XxHash3.HashToUInt64(source[8..(HeaderSize + length)], seed) != BinaryPrimitives.ReadUInt64LittleEndian(source))
        {
            return false;
        }

        record = new JournalRecord(
            BinaryPrimitives.ReadInt64LittleEndian(source[16..]),
            BinaryPrimitives.ReadInt64LittleEndian(source[24..]),
            BinaryPrimitives.ReadInt64LittleEndian(source[32..]),
            (RecordKind)source[12],
            length,
            BinaryPrimitives.ReadInt64LittleEndian(source[40..]));
        return true;
    }

    private static ulong HeaderCheck(ReadOnlySpan<byte> record, long seed)
    {
        Span<byte> header = stackalloc byte[HeaderSize];
        record[..HeaderSize].CopyTo(header);
        header[..8].Clear();
        header[13..16].Clear();
        return XxHash3.HashToUInt64(header, seed);
    }
}
