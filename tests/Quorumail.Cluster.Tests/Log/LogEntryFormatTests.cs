using CsCheck;
using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Tests.Log;

public sealed class LogEntryFormatTests
{
    private static readonly Gen<LoggedCommand> Commands =
        from target in Gen.Enum<CommandTarget>()
        from incarnation in Gen.ULong
        from sequence in Gen.ULong
        from body in Gen.Byte.Array[0, 300]
        select new LoggedCommand(target, incarnation, sequence, body);

    [Fact]
    public void What_was_written_is_read() =>
        Gen.Select(Gen.Long, Commands.List[0, 20]).Sample((stamp, commands) =>
        {
            List<LoggedCommand> read = [];
            long readStamp = LogEntryFormat.Read(Encode(stamp, commands), read);
            return readStamp == stamp && read.Count == commands.Count && read.Zip(commands).All(p => Same(p.First, p.Second));
        });

    [Fact]
    public void A_damaged_entry_is_refused_or_read_but_never_runs_out_of_bounds() =>
        Gen.Select(Commands.List[1, 5], Gen.Int[0, 10_000], Gen.Byte, Gen.Int[0, 2000]).Sample((commands, at, value, length) =>
        {
            byte[] entry = Encode(1, commands);
            entry[at % entry.Length] = value;
            List<LoggedCommand> read = [];
            try
            {
                LogEntryFormat.Read(entry.AsMemory(0, Math.Min(length, entry.Length)), read);
            }
            catch (LogFormatException)
            {
                // One of the two allowed ends.
            }
        });

    [Fact]
    public void An_entry_of_another_version_says_so()
    {
        byte[] entry = Encode(1, []);
        entry[0] = 2;

        LogFormatException refusal = Assert.Throws<LogFormatException>(() => LogEntryFormat.Read(entry, []));
        Assert.Contains("format 2", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_dump_shows_what_an_operator_needs()
    {
        byte[] entry = Encode(1_900_000_000_000, [new(CommandTarget.Application, 3, 77, new byte[] { 1, 2 })]);

        string dump = LogEntryFormat.Dump(42, 7, entry, body => $"enqueue of {body.Length} bytes");

        Assert.Contains("42 term=7", dump, StringComparison.Ordinal);
        Assert.Contains("stamp=2030-03-17T17:46:40.000Z commands=1", dump, StringComparison.Ordinal);
        Assert.Contains("application 3:77 bytes=2 enqueue of 2 bytes", dump, StringComparison.Ordinal);
        Assert.Contains("barrier", LogEntryFormat.Dump(43, 7, default), StringComparison.Ordinal);
        Assert.Contains("unreadable", LogEntryFormat.Dump(44, 7, new byte[] { 9 }), StringComparison.Ordinal);
    }

    private static bool Same(LoggedCommand a, LoggedCommand b) =>
        a.Target == b.Target && a.Incarnation == b.Incarnation && a.Sequence == b.Sequence && a.Body.Span.SequenceEqual(b.Body.Span);

    private static byte[] Encode(long stamp, List<LoggedCommand> commands)
    {
        byte[] entry = new byte[LogEntryFormat.HeaderSize + commands.Sum(c => LogEntryFormat.CommandHeaderSize + c.Body.Length)];
        LogEntryFormat.WriteHeader(entry, stamp, commands.Count);
        int offset = LogEntryFormat.HeaderSize;
        foreach (LoggedCommand command in commands)
        {
            offset += LogEntryFormat.WriteCommand(entry.AsSpan(offset), command);
        }

        return entry;
    }
}
