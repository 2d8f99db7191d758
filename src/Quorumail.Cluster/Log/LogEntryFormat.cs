using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Quorumail.Cluster.Log;

/// <summary>
/// How an entry's commands are laid out. All numbers are little-endian; the whole entry is covered by the checksum of
/// the log that stores it.
/// <code>
/// offset size
///  0      1   format version, 1
///  1      8   stamp: cluster time in milliseconds
///  9      4   number of commands
/// 13          the commands, each:
///         1   target: 0 the cluster's own, 1 the application's, 2 the shared state's
///         8   incarnation of the proposer
///         8   sequence of the proposer
///         4   length of the body
///             body
/// </code>
/// </summary>
public static class LogEntryFormat
{
    /// <summary>The version that this program writes, and the only one it reads so far.</summary>
    public const byte Version = 1;

    /// <summary>Bytes before the first command.</summary>
    public const int HeaderSize = 13;

    /// <summary>Bytes before each command's body.</summary>
    public const int CommandHeaderSize = 21;

    /// <summary>Writes the header of an entry.</summary>
    public static void WriteHeader(Span<byte> destination, long stamp, int count)
    {
        destination[0] = Version;
        BinaryPrimitives.WriteInt64LittleEndian(destination[1..], stamp);
        BinaryPrimitives.WriteInt32LittleEndian(destination[9..], count);
    }

    /// <summary>Writes one command and returns the bytes written.</summary>
    public static int WriteCommand(Span<byte> destination, in LoggedCommand command)
    {
        destination[0] = (byte)command.Target;
        BinaryPrimitives.WriteUInt64LittleEndian(destination[1..], command.Incarnation);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[9..], command.Sequence);
        BinaryPrimitives.WriteInt32LittleEndian(destination[17..], command.Body.Length);
        command.Body.Span.CopyTo(destination[CommandHeaderSize..]);
        return CommandHeaderSize + command.Body.Length;
    }

    /// <summary>Reads the stamp alone.</summary>
    /// <exception cref="LogFormatException">The entry is not of a version that this program reads.</exception>
    public static long ReadStamp(ReadOnlySpan<byte> entry)
    {
        CheckHeader(entry);
        return BinaryPrimitives.ReadInt64LittleEndian(entry[1..]);
    }

    /// <summary>Reads an entry; adds its commands, whose bodies are slices of it, and returns its stamp.</summary>
    /// <exception cref="LogFormatException">The entry is not of a version that this program reads, or not well-formed.</exception>
    public static long Read(ReadOnlyMemory<byte> entry, List<LoggedCommand> commands)
    {
        ArgumentNullException.ThrowIfNull(commands);
        ReadOnlySpan<byte> span = entry.Span;
        CheckHeader(span);
        long stamp = BinaryPrimitives.ReadInt64LittleEndian(span[1..]);
        int count = BinaryPrimitives.ReadInt32LittleEndian(span[9..]);
        int offset = HeaderSize;
        for (int i = 0; i < count; i++)
        {
            if (span.Length - offset < CommandHeaderSize)
            {
                throw Malformed(span.Length, i);
            }

            int length = BinaryPrimitives.ReadInt32LittleEndian(span[(offset + 17)..]);
            if (length < 0 || length > span.Length - offset - CommandHeaderSize || span[offset] > (byte)CommandTarget.Store)
            {
                throw Malformed(span.Length, i);
            }

            commands.Add(new LoggedCommand(
                (CommandTarget)span[offset],
                BinaryPrimitives.ReadUInt64LittleEndian(span[(offset + 1)..]),
                BinaryPrimitives.ReadUInt64LittleEndian(span[(offset + 9)..]),
                entry.Slice(offset + CommandHeaderSize, length)));
            offset += CommandHeaderSize + length;
        }

        return count < 0 || offset != span.Length ? throw Malformed(span.Length, count) : stamp;
    }

    /// <summary>Whether bytes are that many commands one after the other, as in an entry.</summary>
    public static bool AreCommands(ReadOnlyMemory<byte> bytes, int count)
    {
        ReadOnlySpan<byte> rest = bytes.Span;
        for (; count > 0 && rest.Length >= CommandHeaderSize; count--)
        {
            int length = BinaryPrimitives.ReadInt32LittleEndian(rest[17..]);
            if (length < 0 || length > rest.Length - CommandHeaderSize || rest[0] > (byte)CommandTarget.Store)
            {
                return false;
            }

            rest = rest[(CommandHeaderSize + length)..];
        }

        return count == 0 && rest.IsEmpty;
    }

    /// <summary>Renders an entry for people, one line for the entry and one for each command.</summary>
    /// <param name="index">Index of the entry.</param>
    /// <param name="term">Term of the entry.</param>
    /// <param name="entry">The bytes; if they can't be read, the text says so.</param>
    /// <param name="describe">Renders a command of the application; bodies are shown in hexadecimal without it.</param>
    public static string Dump(
        long index, long term, ReadOnlyMemory<byte> entry, Func<ReadOnlyMemory<byte>, string>? describe = null)
    {
        StringBuilder text = new();
        text.Append(CultureInfo.InvariantCulture, $"{index} term={term} bytes={entry.Length}");
        if (entry.IsEmpty)
        {
            return text.Append(" barrier").AppendLine().ToString();
        }

        List<LoggedCommand> commands = [];
        try
        {
            long stamp = Read(entry, commands);
            text.Append(CultureInfo.InvariantCulture,
                $" stamp={DateTimeOffset.FromUnixTimeMilliseconds(stamp):yyyy-MM-ddTHH:mm:ss.fffZ} commands={commands.Count}");
        }
        catch (Exception unreadable) when (unreadable is LogFormatException or ArgumentOutOfRangeException)
        {
            return text.Append(" unreadable: ").Append(unreadable.Message).AppendLine().ToString();
        }

        text.AppendLine();
        foreach (LoggedCommand command in commands)
        {
            string body = command.Target == CommandTarget.Application && describe is not null
                ? describe(command.Body)
                : Convert.ToHexStringLower(command.Body.Span[..Math.Min(command.Body.Length, 64)]);
            text.Append(CultureInfo.InvariantCulture,
                $"  {NameOf(command.Target)} {command.Incarnation}:{command.Sequence} bytes={command.Body.Length} {body}");
            text.AppendLine();
        }

        return text.ToString();
    }

    private static string NameOf(CommandTarget target) => target switch
    {
        CommandTarget.Cluster => "cluster",
        CommandTarget.Application => "application",
        _ => "store",
    };

    private static void CheckHeader(ReadOnlySpan<byte> entry)
    {
        if (entry.Length < HeaderSize)
        {
            throw Malformed(entry.Length, 0);
        }

        if (entry[0] != Version)
        {
            throw new LogFormatException(
                $"The log holds an entry of format {entry[0]}; this version reads format {Version}. Start a version that reads it.");
        }
    }

    private static LogFormatException Malformed(int length, int command) =>
        new($"The log holds an entry of {length} bytes that is not well-formed at command {command}.");
}
