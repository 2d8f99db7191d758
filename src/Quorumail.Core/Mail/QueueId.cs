using System.Diagnostics.CodeAnalysis;

namespace Quorumail.Core.Mail;

/// <summary>
/// The name of a queued message: 48 bits of Unix milliseconds and 32 random bits, written as 16 characters of
/// Crockford base32, so that names sort by time and are safe in file names, logs and shells.
/// </summary>
public readonly record struct QueueId : IComparable<QueueId>
{
    /// <summary>Length of the written form, in characters.</summary>
    public const int TextLength = 16;

    /// <summary>Length of the binary form, in bytes.</summary>
    public const int ByteLength = 10;

    private const string Alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    private const long MillisecondsMax = (1L << 48) - 1;

    private QueueId(ulong milliseconds, uint random)
    {
        Milliseconds = (long)milliseconds;
        RandomPart = random;
    }

    /// <summary>Unix time in milliseconds at which the id was made; orders ids, decides nothing.</summary>
    public long Milliseconds { get; }

    /// <summary>The 32 random bits.</summary>
    public uint RandomPart { get; }

    /// <summary>Makes an id of a time (Unix milliseconds, 0 to 2^48-1) and 32 random bits.</summary>
    public static QueueId Create(long unixMilliseconds, uint random)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(unixMilliseconds);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(unixMilliseconds, MillisecondsMax);
        return new QueueId((ulong)unixMilliseconds, random);
    }

    /// <summary>Reads the ten bytes that <see cref="WriteTo"/> wrote.</summary>
    public static QueueId Read(ReadOnlySpan<byte> source)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(source.Length, ByteLength, nameof(source));
        var milliseconds = 0UL;
        for (var i = 0; i < 6; i++)
        {
            milliseconds = (milliseconds << 8) | source[i];
        }

        return new QueueId(milliseconds, System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(source[6..]));
    }

    /// <summary>Reads the written form; case does not matter, O reads as 0, I and L read as 1 (Crockford).</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out QueueId id)
    {
        id = default;
        if (text is not { Length: TextLength })
        {
            return false;
        }

        UInt128 value = 0;
        foreach (var c in text)
        {
            var upper = char.ToUpperInvariant(c);
            var digit = upper switch
            {
                'O' => 0,
                'I' or 'L' => 1,
                _ => Alphabet.IndexOf(upper, StringComparison.Ordinal),
            };
            if (digit < 0)
            {
                return false;
            }

            value = (value << 5) | (uint)digit;
        }

        id = new QueueId((ulong)(value >> 32), (uint)value);
        return true;
    }

    /// <summary>Writes ten bytes, big-endian, so that byte order is time order.</summary>
    public void WriteTo(Span<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(destination.Length, ByteLength, nameof(destination));
        var milliseconds = Milliseconds;
        for (var i = 5; i >= 0; i--)
        {
            destination[i] = (byte)milliseconds;
            milliseconds >>= 8;
        }

        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(destination[6..], RandomPart);
    }

    /// <summary>The ten bytes as a new array, for use as a key.</summary>
    public byte[] ToBytes()
    {
        var bytes = new byte[ByteLength];
        WriteTo(bytes);
        return bytes;
    }

    public int CompareTo(QueueId other)
    {
        var byTime = Milliseconds.CompareTo(other.Milliseconds);
        return byTime != 0 ? byTime : RandomPart.CompareTo(other.RandomPart);
    }

    public static bool operator <(QueueId left, QueueId right) => left.CompareTo(right) < 0;

    public static bool operator >(QueueId left, QueueId right) => left.CompareTo(right) > 0;

    public static bool operator <=(QueueId left, QueueId right) => left.CompareTo(right) <= 0;

    public static bool operator >=(QueueId left, QueueId right) => left.CompareTo(right) >= 0;

    public override string ToString() => string.Create(TextLength, this, static (text, id) =>
    {
        var value = ((UInt128)(ulong)id.Milliseconds << 32) | id.RandomPart;
        for (var i = TextLength - 1; i >= 0; i--)
        {
            text[i] = Alphabet[(int)(value & 31)];
            value >>= 5;
        }
    });
}
