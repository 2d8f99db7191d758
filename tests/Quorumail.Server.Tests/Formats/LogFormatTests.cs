using System.Net;
using Quorumail.Cluster.Journal;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Raft;
using Quorumail.Tests.Formats;

namespace Quorumail.Server.Tests.Formats;

/// <summary>Entries of the log, the cluster's own commands in them, the state that these make, and the list of members.</summary>
public sealed class LogFormatTests
{
    private static readonly Guid Disk = new("00112233-4455-6677-8899-aabbccddeeff");

    private static readonly LoggedCommand[] Commands =
    [
        new(CommandTarget.Cluster, 3, 0, new byte[] { 6 }),
        new(CommandTarget.Application, 3, 0x0000_0009_0000_0001, Convert.FromHexString("0102")),
        new(CommandTarget.Store, 0x1_0000, ulong.MaxValue, Array.Empty<byte>()),
    ];

    [Fact]
    public void Entries_are_read_and_written_as_ever()
    {
        var file = GoldenFile.Open("log-entries.golden");
        var entry = new byte[LogEntryFormat.HeaderSize + (Commands.Length * LogEntryFormat.CommandHeaderSize) + Commands.Sum(command => command.Body.Length)];
        LogEntryFormat.WriteHeader(entry, 1_700_000_000_000, Commands.Length);
        var length = LogEntryFormat.HeaderSize;
        foreach (var command in Commands)
        {
            length += LogEntryFormat.WriteCommand(entry.AsSpan(length), command);
        }

        file.Holds("entry", (1_700_000_000_000, Commands), _ => entry, bytes =>
        {
            List<LoggedCommand> commands = [];
            return (LogEntryFormat.Read(bytes, commands), commands.ToArray());
        });
        file.Close();

        entry[0]++;
        Assert.Contains("format 2", Assert.Throws<LogFormatException>(() => LogEntryFormat.Read(entry, [])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_clusters_own_commands_are_written_as_ever_and_make_the_same_state()
    {
        var file = GoldenFile.Open("cluster-commands.golden");
        (string Name, byte[] Now)[] commands =
        [
            ("admit", ClusterCommand.Admit("nöde2", "10.0.0.2:9000", Disk)),
            ("admit-founder", ClusterCommand.Admit("node1", "", Guid.Empty, 1)),
            ("locate", ClusterCommand.Locate(1, "10.0.0.1:9000")),
            ("raise-feature-level", ClusterCommand.RaiseFeatureLevel(2)),
            ("strike", ClusterCommand.Strike(4)),
            ("acknowledge", ClusterCommand.Acknowledge(0x0000_0009_0000_0002)),
            ("stamp", ClusterCommand.Stamp()),
        ];
        var state = new ClusterState(null);
        foreach (var (name, now) in commands)
        {
            file.Writes(name, now);
            state.Apply(new LoggedCommand(CommandTarget.Cluster, 3, 0, file[name]));
        }

        Assert.True(state.TryBegin(3, 0x0000_0009_0000_0003, out _, out _));
        state.Answered(3, 0x0000_0009_0000_0003, Convert.FromHexString("07"));
        Assert.True(state.TryBegin(3, 0x0000_0009_0000_0005, out _, out _));
        state.AppliedUpTo(11);
        var rendered = state.Render([10, 9]);
        file.Writes("state", rendered);
        var restored = new ClusterState(null);
        restored.Restore(file["state"]);
        file.Close();

        Assert.Equal(rendered, restored.Render([10, 9]));
        Assert.Equal((11, 2), (restored.AppliedIndex, restored.FeatureLevel));
        Assert.Equal(["node1 10.0.0.1:9000", "nöde2 10.0.0.2:9000"], restored.Living.Select(known => $"{known.NodeId} {known.Address}"));
        Assert.Equal(Convert.FromHexString("07"), restored.Recall(3, 0x0000_0009_0000_0003)!.Value.ToArray());

        rendered[0]++;
        Assert.Contains("format 2", Assert.Throws<JournalException>(() => restored.Restore(rendered)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_list_of_members_is_read_and_written_as_ever()
    {
        var file = GoldenFile.Open("members.golden");
        EndPoint[] members = [new DnsEndPoint("nöde2", 70 + (3 << 8)), new DnsEndPoint("node1", 1)];
        new MemberSet(members).TryGetMemory(out var bytes);
        file.Writes("members", bytes.Span);
        Assert.Equal(members.ToHashSet(), MemberSet.Decode(file["members"]).Members.ToHashSet());
        file.Close();

        var later = bytes.ToArray();
        later[0]++;
        Assert.Contains("format 2", Assert.Throws<LogFormatException>(() => MemberSet.Decode(later)).Message, StringComparison.Ordinal);
    }
}
