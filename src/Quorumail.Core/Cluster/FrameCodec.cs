using System.Buffers;
using System.Buffers.Binary;

namespace Quorumail.Core.Cluster;

/// <summary>What <see cref="FrameCodec"/> found.</summary>
public enum FrameStatus
{
    /// <summary>Not all of it has arrived.</summary>
    NeedInput = 0,

    /// <summary>A header, or a whole frame.</summary>
    Complete = 1,

    /// <summary>No type that this version knows: close and count.</summary>
    UnknownType = 2,

    /// <summary>A type that has no place here: a handshake after the handshake, or anything else before it.</summary>
    OutOfPlace = 3,

    /// <summary>Longer than its limit. Nothing of its body has been looked at.</summary>
    TooLong = 4,
}

/// <summary>The first <see cref="FrameLimits.HeaderSize"/> bytes of a frame.</summary>
/// <param name="Type">What it is.</param>
/// <param name="BodyLength">Bytes that follow.</param>
public readonly record struct FrameHeader(FrameType Type, int BodyLength);

/// <summary>
/// Reads and writes the frames of port 9000: type (1 byte), length of the body (4 bytes, big-endian), body (the guide's
/// "Message Format"). A length is checked before anybody allocates for it.
/// </summary>
public static class FrameCodec
{
    /// <summary>Reads a header; the input is left as it is.</summary>
    /// <param name="input">What has arrived, from the frame's first byte.</param>
    /// <param name="isAuthenticated">Whether the handshake is over: other types and limits hold before it.</param>
    /// <param name="header">What was read, if complete.</param>
    public static FrameStatus ReadHeader(in ReadOnlySequence<byte> input, bool isAuthenticated, out FrameHeader header)
    {
        header = default;
        if (input.IsEmpty)
        {
            return FrameStatus.NeedInput;
        }

        // The first byte is judged at once: a stranger need not send five.
        var type = (FrameType)input.FirstSpan[0];
        var isHandshake = IsHandshake(type);
        if (!IsKnown(type))
        {
            return FrameStatus.UnknownType;
        }

        if (isHandshake == isAuthenticated)
        {
            return FrameStatus.OutOfPlace;
        }

        if (input.Length < FrameLimits.HeaderSize)
        {
            return FrameStatus.NeedInput;
        }

        Span<byte> octets = stackalloc byte[FrameLimits.HeaderSize];
        input.Slice(0, FrameLimits.HeaderSize).CopyTo(octets);
        var length = BinaryPrimitives.ReadUInt32BigEndian(octets[1..]);
        var lengthMax = isHandshake ? FrameLimits.HandshakeMax - FrameLimits.HeaderSize : FrameLimits.BodyMax;
        if (length > (uint)lengthMax)
        {
            return FrameStatus.TooLong;
        }

        header = new FrameHeader(type, (int)length);
        return FrameStatus.Complete;
    }

    /// <summary>Reads a whole frame and takes it out of the input.</summary>
    /// <param name="input">What has arrived, from the frame's first byte; unchanged unless complete.</param>
    /// <param name="isAuthenticated">Whether the handshake is over.</param>
    /// <param name="type">What the frame is, if complete.</param>
    /// <param name="body">Its body: a part of the input.</param>
    public static FrameStatus Read(ref ReadOnlySequence<byte> input, bool isAuthenticated, out FrameType type, out ReadOnlySequence<byte> body)
    {
        type = default;
        body = default;
        var status = ReadHeader(input, isAuthenticated, out var header);
        if (status != FrameStatus.Complete)
        {
            return status;
        }

        var end = FrameLimits.HeaderSize + (long)header.BodyLength;
        if (input.Length < end)
        {
            return FrameStatus.NeedInput;
        }

        type = header.Type;
        body = input.Slice(FrameLimits.HeaderSize, header.BodyLength);
        input = input.Slice(end);
        return FrameStatus.Complete;
    }

    /// <summary>Writes a header.</summary>
    /// <param name="target">At least <see cref="FrameLimits.HeaderSize"/> bytes.</param>
    /// <param name="type">What the frame is.</param>
    /// <param name="bodyLength">Bytes that will follow.</param>
    /// <exception cref="ArgumentOutOfRangeException">The body is longer than a frame may be.</exception>
    public static void WriteHeader(Span<byte> target, FrameType type, int bodyLength)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bodyLength);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bodyLength, FrameLimits.BodyMax);
        target[0] = (byte)type;
        BinaryPrimitives.WriteInt32BigEndian(target[1..], bodyLength);
    }

    /// <summary>A whole frame.</summary>
    public static byte[] Write(FrameType type, ReadOnlySpan<byte> body)
    {
        var frame = new byte[FrameLimits.HeaderSize + body.Length];
        WriteHeader(frame, type, body.Length);
        body.CopyTo(frame.AsSpan(FrameLimits.HeaderSize));
        return frame;
    }

    /// <summary>Whether this version knows the type.</summary>
    public static bool IsKnown(FrameType type) =>
        type is >= FrameType.Heartbeat and <= FrameType.LeaderAnnounce
            or >= FrameType.Hello and <= FrameType.Failed
            or >= FrameType.Ping and <= FrameType.ApplicationAnswer;

    /// <summary>Whether the type belongs to the handshake and to nothing else.</summary>
    public static bool IsHandshake(FrameType type) => type is >= FrameType.Hello and <= FrameType.Refuse;

    /// <summary>Whether the frame asks, and begins with the asker's number.</summary>
    public static bool IsQuestion(FrameType type) => type >= FrameType.Ping && ((byte)type & 1) == 0;

    /// <summary>Whether the frame answers, and begins with the asker's number.</summary>
    public static bool IsAnswer(FrameType type) => type >= FrameType.Ping && ((byte)type & 1) == 1;
}
