using System.Buffers.Binary;
using Quorumail.Core.Mail;

namespace Quorumail.Server.Replication;

/// <summary>
/// What nodes ask each other about bodies. A question: kind (1 byte), incarnation that it is for (4, little-endian), then to
/// store any number of pieces, or to fetch one piece's name. A piece: flags (1), queue id (10), number (4; all ones for the
/// head), length (4), the record as it stands in the database. The answers: a <see cref="CopyStatus"/> a piece; 1 and the
/// record, or 0. Never changed; what comes later gets a kind of its own.
/// </summary>
internal static class BodyFrame
{
    /// <summary>The number of a head among those of the chunks.</summary>
    public const uint Head = uint.MaxValue;

    public const byte Store = 1;
    public const byte Fetch = 2;

    /// <summary>The piece may be there already.</summary>
    public const byte Again = 1;

    public const int HeaderLength = 5;
    public const int PieceHeaderLength = 1 + QueueId.ByteLength + sizeof(uint) + sizeof(int);
    public const int FetchLength = HeaderLength + QueueId.ByteLength + sizeof(uint);

    public static void WriteHeader(Span<byte> frame, byte kind, int incarnation)
    {
        frame[0] = kind;
        BinaryPrimitives.WriteInt32LittleEndian(frame[1..], incarnation);
    }

    /// <summary>Takes the header off; false if the frame is not for this incarnation.</summary>
    public static bool TryReadHeader(ref ReadOnlyMemory<byte> frame, int incarnation, out byte kind)
    {
        kind = 0;
        if (frame.Length < HeaderLength || BinaryPrimitives.ReadInt32LittleEndian(frame.Span[1..]) != incarnation)
        {
            return false;
        }

        kind = frame.Span[0];
        frame = frame[HeaderLength..];
        return true;
    }

    public static int WritePiece(Span<byte> frame, byte flags, QueueId id, uint number, ReadOnlySpan<byte> record)
    {
        frame[0] = flags;
        WriteName(frame[1..], id, number);
        BinaryPrimitives.WriteInt32LittleEndian(frame[(PieceHeaderLength - sizeof(int))..], record.Length);
        record.CopyTo(frame[PieceHeaderLength..]);
        return PieceHeaderLength + record.Length;
    }

    /// <summary>Takes a piece off; false if what is left is none.</summary>
    public static bool TryReadPiece(ref ReadOnlyMemory<byte> frame, out byte flags, out QueueId id, out uint number, out ReadOnlyMemory<byte> record)
    {
        (flags, id, number, record) = (0, default, 0, default);
        if (frame.Length < PieceHeaderLength)
        {
            return false;
        }

        var head = frame.Span;
        var length = BinaryPrimitives.ReadInt32LittleEndian(head[(PieceHeaderLength - sizeof(int))..]);
        if (length < 0 || length > frame.Length - PieceHeaderLength)
        {
            return false;
        }

        flags = head[0];
        (id, number) = ReadName(head[1..]);
        record = frame.Slice(PieceHeaderLength, length);
        frame = frame[(PieceHeaderLength + length)..];
        return true;
    }

    public static byte[] FetchOf(int incarnation, QueueId id, uint number)
    {
        var frame = new byte[FetchLength];
        WriteHeader(frame, Fetch, incarnation);
        WriteName(frame.AsSpan(HeaderLength), id, number);
        return frame;
    }

    public static bool TryReadName(ReadOnlySpan<byte> frame, out QueueId id, out uint number)
    {
        (id, number) = frame.Length == QueueId.ByteLength + sizeof(uint) ? ReadName(frame) : default;
        return frame.Length == QueueId.ByteLength + sizeof(uint);
    }

    private static void WriteName(Span<byte> name, QueueId id, uint number)
    {
        id.WriteTo(name);
        BinaryPrimitives.WriteUInt32LittleEndian(name[QueueId.ByteLength..], number);
    }

    private static (QueueId Id, uint Number) ReadName(ReadOnlySpan<byte> name) =>
        (QueueId.Read(name), BinaryPrimitives.ReadUInt32LittleEndian(name[QueueId.ByteLength..]));
}
