using Quorumail.Core.Limits;
using Quorumail.Server.Limits;
using Quorumail.Server.Limits.Format;
using Quorumail.Server.Tests.Queue;
using Quorumail.Tests.Formats;

namespace Quorumail.Server.Tests.Formats;

/// <summary>The limits' commands as they stand in the log, their answers, and their records.</summary>
public sealed class LimitFormatTests
{
    private const long Until = 1_700_000_000_000;

    internal static readonly LimitRecords Records = new(
        9,
        [new LimitDefinition("rate", LimitKind.Rate, 1000, 3_600_000, LimitPolicy.Share)],
        [new LimitMember("n1", 3, 2, Until - 5)],
        [new LimitGrant("rate", "ann", "n1", 0, 30, Until), new LimitGrant("slots", "mx.example", "n2", 7, 1, Until + 1)]);

    private static readonly (string Name, LimitCommand Command)[] Commands =
    [
        ("define", new DefineLimitCommand(new LimitDefinition("slots", LimitKind.Concurrency, 20, 30_000, LimitPolicy.Closed))),
        ("define-rate", new DefineLimitCommand(Records.Definitions[0])),
        ("define-kept", new DefineLimitCommand(Records.Definitions[0], KeepsShares: true)),
        ("remove", new RemoveLimitCommand("rate")),
        ("nodes", new LimitNodesCommand(["n1", "n2"])),
        ("adopt", new AdoptShareCommand("n1", 3)),
        ("adopt-kept", new AdoptShareCommand("n1", 3, 8)),
        ("want-tokens", new WantTokensCommand("rate", "ann", "n1", 30)),
        ("return-tokens", new ReturnTokensCommand("rate", "ann", "n1", Until, 4)),
        ("want-slot", new WantSlotCommand("slots", "mx.example", "n2")),
        ("keep-slot", new KeepSlotCommand("slots", "mx.example", "n2", 7)),
        ("free-slot", new FreeSlotCommand("slots", "mx.example", "n2", 7)),
    ];

    [Fact]
    public void Commands_in_the_log_are_read_and_written_as_ever()
    {
        var file = GoldenFile.Open("limit-commands.golden");
        foreach (var (name, command) in Commands)
        {
            file.Holds<LimitCommand?>(name, command, c => ReplicatedLimits.Encode(c!), bytes => Decode(bytes));
        }

        file.Close();
        Assert.Equal(
            typeof(LimitCommand).Assembly.GetTypes().Where(type => type.IsSubclassOf(typeof(LimitCommand))).Select(type => type.Name).Order(StringComparer.Ordinal),
            Commands.Select(each => each.Command.GetType().Name).Distinct().Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Answers_and_records_are_read_and_written_as_ever()
    {
        var file = GoldenFile.Open("limit-records.golden");
        file.Holds<LimitAnswer?>("answer", new LimitAnswer(LimitStatus.Exhausted, 30, Until, 7), answer => LimitEncoding.Encode(answer!.Value), bytes => LimitEncoding.DecodeAnswer(bytes));
        file.Holds<LimitAnswer?>("answer-least", new LimitAnswer(LimitStatus.Granted), answer => LimitEncoding.Encode(answer!.Value), bytes => LimitEncoding.DecodeAnswer(bytes));
        file.Holds("records", Records, LimitEncoding.Encode, bytes => LimitEncoding.DecodeRecords(bytes));
        file.Holds(
            "records-shares", Records with { Shares = [new LimitShare("rate", "n1", 160, 8, Until), new LimitShare("rate", "n2", 160, 9, long.MaxValue)] },
            LimitEncoding.Encode, bytes => LimitEncoding.DecodeRecords(bytes));
        file.Close();
    }

    [Fact]
    public void Fields_of_a_later_minor_version_are_skipped_and_a_later_major_version_is_refused()
    {
        // Field 500, length-delimited, of three octets.
        byte[] later = [0xA2, 0x1F, 3, 1, 2, 3];
        var commands = GoldenFile.Open("limit-commands.golden");
        var records = GoldenFile.Open("limit-records.golden");
        Assert.All(Commands, each => Assert.Equal(QueueEncodingTests.Text(each.Command), QueueEncodingTests.Text(Decode([.. commands[each.Name], .. later]))));
        Assert.Equal(30, LimitEncoding.DecodeAnswer([.. records["answer"], .. later])!.Value.Count);
        Assert.Equal(QueueEncodingTests.Text(Records), QueueEncodingTests.Text(LimitEncoding.DecodeRecords([.. records["records"], .. later])));

        byte[] next = [LimitEncoding.Version + 1];
        Action[] readers = [() => LimitEncoding.DecodeCommand(next), () => LimitEncoding.DecodeAnswer(next), () => LimitEncoding.DecodeRecords(next)];
        Assert.All(readers, read => Assert.Contains($"format {LimitEncoding.Version + 1}", Assert.Throws<InvalidDataException>(read).Message, StringComparison.Ordinal));
    }

    private static LimitCommand? Decode(byte[] bytes) => ReplicatedLimits.IsCommand(bytes) ? LimitEncoding.DecodeCommand(bytes.AsSpan(1)) : null;
}
