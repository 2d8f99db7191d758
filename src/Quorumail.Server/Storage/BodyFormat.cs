using System.Buffers.Binary;
using System.IO.Hashing;
using Quorumail.Core.Mail;

namespace Quorumail.Server.Storage;

/// <summary>
/// How bodies are laid out in the database, version 1. The head, under the queue id, ends the writing of a body: version
/// (1 byte), kind (1 byte: 0 the octets follow, 1 they are in chunks), 2 bytes zero, octets per chunk (4), size (8),
/// XxHash128 of all octets (16), XxHash3 of these 32 bytes (8), little-endian. Chunks are under queue id and number (4
/// bytes, big-endian): XxHash3 of the octets (8), octets. Checksums are seeded by place, so that no record passes for another.
/// </summary>
internal static class BodyFormat
{
    public const byte Version = 1;
    public const int HeadLength = 40;
    public const int ChecksumLength = 8;
    public const int ChunkKeyLength = QueueId.ByteLength + sizeof(uint);

    /// <summary>Octets of a body in one record: record and head together fill 64 KiB.</summary>
    public const int ChunkLength = (64 << 10) - HeadLength;

    /// <summary>
    /// Octets of a body that the log may carry: most mail without attachments. More would make heartbeats wait behind it.
    /// </summary>
    public const int CarriedMax = 16 << 10;

    private const byte InlineKind = 0;
    private const byte ChunkedKind = 1;
    private const uint HeadNumber = uint.MaxValue;

    /// <summary>Number of chunk records of a body of this size: none if it fits the head.</summary>
    public static long ChunkCount(long size) => size <= ChunkLength ? 0 : (size + ChunkLength - 1) / ChunkLength;

    public static void WriteChunkKey(QueueId id, uint number, Span<byte> key)
    {
        id.WriteTo(key);
        BinaryPrimitives.WriteUInt32BigEndian(key[QueueId.ByteLength..], number);
    }

    public static void WriteHead(QueueId id, long size, UInt128 hash, bool chunked, Span<byte> head)
    {
        head[..HeadLength].Clear();
        head[0] = Version;
        head[1] = chunked ? ChunkedKind : InlineKind;
        BinaryPrimitives.WriteInt32LittleEndian(head[4..], chunked ? ChunkLength : 0);
        BinaryPrimitives.WriteInt64LittleEndian(head[8..], size);
        WriteHash(hash, head[16..]);
        BinaryPrimitives.WriteUInt64LittleEndian(head[32..], Checksum(id, HeadNumber, head[..32]));
    }

    /// <summary>Reads and verifies a head.</summary>
    /// <exception cref="BodyCorruptException">It is not what was written, or a later version wrote it.</exception>
    public static (long Size, UInt128 Hash, int ChunkLength) ReadHead(QueueId id, ReadOnlySpan<byte> record)
    {
        if (record.Length < HeadLength
            || BinaryPrimitives.ReadUInt64LittleEndian(record[32..]) != Checksum(id, HeadNumber, record[..32]))
        {
            throw new BodyCorruptException(id, "its head does not have its checksum");
        }

        if (record[0] != Version)
        {
            throw new BodyCorruptException(id, $"it has format {record[0]}, which this version does not read");
        }

        var size = BinaryPrimitives.ReadInt64LittleEndian(record[8..]);
        var chunkLength = BinaryPrimitives.ReadInt32LittleEndian(record[4..]);
        var inlineLength = record.Length - HeadLength;
        if (record[1] == InlineKind ? inlineLength != size : inlineLength != 0 || chunkLength <= 0)
        {
            throw new BodyCorruptException(id, "its head contradicts its length");
        }

        return (size, ReadHash(record[16..]), record[1] == InlineKind ? 0 : chunkLength);
    }

    /// <summary>Reads and verifies the head of a message's body.</summary>
    /// <param name="id">The message.</param>
    /// <param name="record">What stands under its id.</param>
    /// <param name="hash">Hash that the queue has of the body; empty: not known.</param>
    /// <exception cref="BodyCorruptException">It is not what was written, another message's, or a later version wrote it.</exception>
    public static (long Size, UInt128 Hash, int ChunkLength) ReadHead(QueueId id, ReadOnlySpan<byte> record, ReadOnlySpan<byte> hash)
    {
        var head = ReadHead(id, record);
        return hash.IsEmpty || HashBytes(head.Hash).AsSpan().SequenceEqual(hash)
            ? head
            : throw new BodyCorruptException(id, "it does not have the hash that the queue has of it");
    }

    public static ulong Checksum(QueueId id, uint number, ReadOnlySpan<byte> octets)
    {
        var seed = ((ulong)id.Milliseconds << 16) ^ ((ulong)id.RandomPart << 32) ^ ((ulong)number * 0x9E3779B97F4A7C15);
        return XxHash3.HashToUInt64(octets, (long)seed);
    }

    public static byte[] HashBytes(UInt128 hash)
    {
        var bytes = new byte[16];
        WriteHash(hash, bytes);
        return bytes;
    }

    // The canonical form of XXH128 is big-endian.
    private static void WriteHash(UInt128 hash, Span<byte> bytes) => BinaryPrimitives.WriteUInt128BigEndian(bytes, hash);

    private static UInt128 ReadHash(ReadOnlySpan<byte> bytes) => BinaryPrimitives.ReadUInt128BigEndian(bytes);
}
