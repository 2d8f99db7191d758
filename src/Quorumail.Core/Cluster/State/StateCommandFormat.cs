using System.Buffers.Binary;
using System.Text;

namespace Quorumail.Core.Cluster.State;

/// <summary>
/// How commands and answers are laid out in the log. All numbers are little-endian.
/// <code>
/// command: format (1), action (1), condition (1), time to live (8), expected (8), length of the key (2),
///          length of the expected value (4), key (UTF-8), expected value, value
/// answer:  status (1), version (8)
/// </code>
/// </summary>
public static class StateCommandFormat
{
    /// <summary>The format that this program writes, and the only one it reads so far.</summary>
    public const byte Version = 1;

    private const int HeaderSize = 25;
    private const int AnswerSize = 9;

    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Renders a command.</summary>
    /// <exception cref="ArgumentException">The key is longer than 65535 bytes or has a lone surrogate.</exception>
    public static byte[] Encode(StateCommand command)
    {
        ArgumentNullException.ThrowIfNull(command);
        int keyLength = Utf8.GetByteCount(command.Key);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(keyLength, ushort.MaxValue, nameof(command));
        byte[] encoded = new byte[HeaderSize + keyLength + command.ExpectedValue.Length + command.Value.Length];
        Span<byte> rest = encoded;
        rest[0] = Version;
        rest[1] = (byte)command.Action;
        rest[2] = (byte)command.Condition;
        BinaryPrimitives.WriteInt64LittleEndian(rest[3..], command.TimeToLive);
        BinaryPrimitives.WriteInt64LittleEndian(rest[11..], command.Expected);
        BinaryPrimitives.WriteUInt16LittleEndian(rest[19..], (ushort)keyLength);
        BinaryPrimitives.WriteInt32LittleEndian(rest[21..], command.ExpectedValue.Length);
        rest = rest[HeaderSize..];
        Utf8.GetBytes(command.Key, rest);
        rest = rest[keyLength..];
        command.ExpectedValue.Span.CopyTo(rest);
        command.Value.Span.CopyTo(rest[command.ExpectedValue.Length..]);
        return encoded;
    }

    /// <summary>Reads a command; its values are slices of <paramref name="encoded"/>. Null if it is malformed or of another format.</summary>
    public static StateCommand? Decode(ReadOnlyMemory<byte> encoded)
    {
        ReadOnlySpan<byte> span = encoded.Span;
        if (span.Length < HeaderSize || span[0] != Version || span[1] > (byte)StateAction.Sweep || span[2] > (byte)StateCondition.NotOlder)
        {
            return null;
        }

        int keyLength = BinaryPrimitives.ReadUInt16LittleEndian(span[19..]);
        int expectedLength = BinaryPrimitives.ReadInt32LittleEndian(span[21..]);
        if (keyLength > span.Length - HeaderSize || expectedLength < 0 || expectedLength > span.Length - HeaderSize - keyLength)
        {
            return null;
        }

        string key;
        try
        {
            key = Utf8.GetString(span.Slice(HeaderSize, keyLength));
        }
        catch (DecoderFallbackException)
        {
            return null;
        }

        int expectedAt = HeaderSize + keyLength;
        return new StateCommand((StateAction)span[1], key)
        {
            Condition = (StateCondition)span[2],
            TimeToLive = BinaryPrimitives.ReadInt64LittleEndian(span[3..]),
            Expected = BinaryPrimitives.ReadInt64LittleEndian(span[11..]),
            ExpectedValue = encoded.Slice(expectedAt, expectedLength),
            Value = encoded[(expectedAt + expectedLength)..],
        };
    }

    /// <summary>Renders an answer.</summary>
    public static byte[] Encode(StateAnswer answer)
    {
        byte[] encoded = new byte[AnswerSize];
        encoded[0] = (byte)answer.Status;
        BinaryPrimitives.WriteInt64LittleEndian(encoded.AsSpan(1), answer.Version);
        return encoded;
    }

    /// <summary>Reads an answer; <see cref="StateStatus.Invalid"/> if it is none.</summary>
    public static StateAnswer DecodeAnswer(ReadOnlySpan<byte> encoded) =>
        encoded.Length < AnswerSize || encoded[0] > (byte)StateStatus.Invalid
            ? new StateAnswer(StateStatus.Invalid)
            : new StateAnswer((StateStatus)encoded[0], BinaryPrimitives.ReadInt64LittleEndian(encoded[1..]));

    /// <summary>Renders a command for people, in one line; values are cut.</summary>
    public static string Describe(ReadOnlyMemory<byte> encoded) =>
        Decode(encoded) is not { } command
            ? "unreadable"
            : FormattableString.Invariant(
                $"{command.Action} key={command.Key} condition={command.Condition}:{command.Expected} ttl={command.TimeToLive} value={command.Value.Length} bytes");
}
