using System.IO.Hashing;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Raft;
using Quorumail.Core.Queue;
using Quorumail.Server.Queue;
using Quorumail.Server.Queue.Format;
using Quorumail.Server.Tests.Queue;
using Quorumail.Tests.Formats;
using LoggedCommand = Quorumail.Cluster.Log.LoggedCommand;

namespace Quorumail.Server.Tests.Formats;

/// <summary>Snapshots: the queue's, that of all states together, and what closes it on its way.</summary>
public sealed class SnapshotFormatTests
{
    private static readonly QueueRecords Records = new(
        new QueueMarks(1, 2, 3, 4, 5) { NextFinished = 6, FinishedFloor = 7, NextRemoval = 8 },
        [KeyValuePair.Create("n1", 4L)],
        [new Tombstone(2, QueueFormatTests.Id, 1_700_000_000_000)],
        [new ListedSuspect(1, new Suspect(QueueFormatTests.Id, "bob@b.example", 3, SuspectReason.Unread250, 1_700_000_000_000, ""))],
        [new QueuedMessage(QueueFormatTests.Other, "", default, null, [], 9, default, new byte[16], [new BodyHolder("n1", 3)], "n1", 1, 1_600_000_000_000, "")])
    {
        Finished = [new FinishedId(6, 5, QueueFormatTests.Id)],
        Members = QueueFormatTests.Members,
        Suspensions = [new Suspension(SuspensionScope.Sender, "ann@a.example", "asked", 1_600_000_000_000, 0)],
        Removals = [new Removal(7, QueueFormatTests.Id, "ann@a.example", 3, 1, 1_700_000_000_000, "spam")],
    };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_queues_is_read_and_written_as_ever()
    {
        var file = GoldenFile.Open("queue-snapshot.golden");
        using var written = new MemoryStream();
        await QueueSnapshot.SaveAsync(Records, LimitFormatTests.Records, 9, written, Token);
        file.Writes("snapshot", written.ToArray());
        var read = await ReadAsync(file["snapshot"]);
        file.Close();

        object[] expected =
        [
            Records.Marks, Records.Members!, .. Records.Suspensions, .. Records.Removals, .. Records.OwnerEpochs.Select(each => (object)each),
            .. Records.Tombstones.Select(each => (object)each), .. Records.Suspects.Select(each => (object)each), .. Records.Finished.Select(each => (object)each),
            .. Records.Messages, LimitFormatTests.Records, (9L, 11L),
        ];
        Assert.Equal(expected.Select(QueueEncodingTests.Text), read.Select(record => QueueEncodingTests.Text(record.Value)));

        // A kind that a later version adds holds something that this one would lose.
        var bytes = file["snapshot"];
        bytes[4] = 200;
        Assert.Contains("kind 200", (await Assert.ThrowsAsync<InvalidDataException>(() => ReadAsync(bytes))).Message, StringComparison.Ordinal);
        bytes = file["snapshot"];
        bytes[9] = QueueEncoding.Version + 1;
        await Assert.ThrowsAsync<NewerFormatException>(() => ReadAsync(bytes));
        bytes[3]++;
        Assert.Contains("that this version can read", (await Assert.ThrowsAsync<InvalidDataException>(() => ReadAsync(bytes))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task That_of_all_states_is_read_and_written_as_ever()
    {
        var file = GoldenFile.Open("snapshot.golden");
        var cluster = new ClusterState(null);
        cluster.Apply(new LoggedCommand(CommandTarget.Cluster, 3, 0, ClusterCommand.RaiseFeatureLevel(2)));
        cluster.AppliedUpTo(11);
        using var written = new MemoryStream();
        await new ReplicatedStates(cluster, new FixedState(12, "0102"), new FixedState(13, "03")).SaveSnapshotAsync(written, Token);
        file.Writes("states", written.ToArray());

        var hash = new XxHash3();
        hash.Append(written.ToArray());
        var trailer = SnapshotFormat.Trailer(13, 1_700_000_000_000, hash);
        file.Writes("trailer", trailer);
        using var staged = new MemoryStream();
        staged.Write([.. file["states"], .. file["trailer"]]);
        Assert.Equal((13, 1_700_000_000_000, file["states"].Length), await SnapshotFormat.CheckAsync(staged, Token));

        var (application, store) = (new FixedState(0, ""), new FixedState(0, ""));
        var other = new ClusterState(null);
        await new ReplicatedStates(other, application, store).LoadSnapshotAsync(staged, Token);
        file.Close();

        Assert.Equal((2, 11), (other.FeatureLevel, other.AppliedIndex));
        Assert.Equal((12, "0102"), (application.AppliedIndex, application.Content));
        Assert.Equal((13, "03"), (store.AppliedIndex, store.Content));

        staged.Position = staged.Length - SnapshotFormat.TrailerSize;
        staged.WriteByte(2);
        Assert.Contains("a version that this program does not read", (await Assert.ThrowsAsync<InvalidDataException>(() => SnapshotFormat.CheckAsync(staged, Token).AsTask())).Message, StringComparison.Ordinal);
    }

    private static async Task<List<QueueSnapshotRecord>> ReadAsync(byte[] snapshot)
    {
        List<QueueSnapshotRecord> read = [];
        using var stream = new MemoryStream(snapshot);
        await foreach (var record in QueueSnapshot.ReadAsync(stream, Token))
        {
            read.Add(record);
        }

        return read;
    }

    /// <summary>A state that is nothing but its octets.</summary>
    private sealed class FixedState(long index, string content) : IReplicatedState
    {
        public long AppliedIndex { get; private set; } = index;

        public string Content { get; private set; } = content;

        public void Apply(long index, long stamp, IReadOnlyList<ReadOnlyMemory<byte>> commands, Span<ReadOnlyMemory<byte>> answers) =>
            throw new NotSupportedException();

        public ValueTask<long> FlushAsync(CancellationToken token) => ValueTask.FromResult(AppliedIndex);

        public async ValueTask<long> SaveSnapshotAsync(Stream destination, CancellationToken token)
        {
            await destination.WriteAsync(Convert.FromHexString(Content), token);
            return AppliedIndex;
        }

        public async ValueTask LoadSnapshotAsync(Stream source, long index, CancellationToken token)
        {
            using var bytes = new MemoryStream();
            await source.CopyToAsync(bytes, token);
            (Content, AppliedIndex) = (Convert.ToHexString(bytes.ToArray()), index);
        }
    }
}
