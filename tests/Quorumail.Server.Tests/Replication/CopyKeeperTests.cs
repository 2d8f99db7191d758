using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Quorumail.Cluster.Log;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Queue;
using Quorumail.Server.Queue.Format;
using Quorumail.Server.Replication;
using Quorumail.Server.Storage;
using Quorumail.Server.Tests.Queue;
using Quorumail.Server.Tests.Storage;

namespace Quorumail.Server.Tests.Replication;

public sealed class CopyKeeperTests : IAsyncDisposable
{
    private const int Chunked = (3 * BodyFormat.ChunkLength) + 17;

    private readonly FakeTimeProvider _time = new();
    private readonly MemoryCluster _cluster;
    private readonly List<ReplicatedQueue> _states = [];
    private readonly List<CopyKeeper> _keepers = [];
    private readonly Lock _log = new();
    private long _index;

    public CopyKeeperTests()
    {
        _cluster = new MemoryCluster(3, minCopies: 2);
        foreach (var node in _cluster.Nodes)
        {
            ReplicatedQueue state = new(node.Database, node.Bodies, TimeSpan.FromDays(1), _time);
            CopyKeeper keeper = new(state, node.Replicas, () => true, (command, _) => ValueTask.FromResult(Propose(command)), _time, NullLogger.Instance);
            _states.Add(state);
            _keepers.Add(keeper);
            keeper.Start();
        }
    }

    [Theory]
    [InlineData(20_000)]
    [InlineData(Chunked)]
    public async Task A_message_with_too_few_copies_is_copied_by_who_has_it(int size)
    {
        Form(minCopies: 2);
        var id = await EnqueueAsync(1, size, 0, 1);
        Propose(new HoldersChangedCommand([id], HolderOf(0), Added: false));
        await LookUntilAsync(() => HoldersOf(id).Count == 2);
        foreach (var holder in HoldersOf(id))
        {
            Assert.Equal(BodyStoreTests.Octets(size), await BodyStoreTests.ReadAsync(_cluster.Nodes.Single(node => node.Self == holder).Bodies, id));
        }
    }

    [Theory]
    [InlineData(20_000, null)]
    [InlineData(Chunked, null)]
    [InlineData(Chunked, 2u)]
    public async Task A_damaged_copy_is_mended_before_it_is_copied(int size, uint? chunk)
    {
        Form(minCopies: 2);
        var id = await EnqueueAsync(1, size, 0, 1);
        BodyReplicasTests.Damage(_cluster.Nodes[0], id, chunk);
        Form(minCopies: 3);
        await LookUntilAsync(() => HoldersOf(id).Count == 3);
        foreach (var node in _cluster.Nodes)
        {
            Assert.Equal(BodyStoreTests.Octets(size), await BodyStoreTests.ReadAsync(node.Bodies, id));
        }
    }

    [Fact]
    public async Task A_copy_that_is_gone_is_made_again_before_it_is_copied()
    {
        Form(minCopies: 2);
        var id = await EnqueueAsync(1, Chunked, 0, 1);
        await BodyRecords.RemoveAsync(_cluster.Nodes[0].Database, id);
        Form(minCopies: 3);
        await LookUntilAsync(() => HoldersOf(id).Count == 3);
        Assert.Equal(BodyStoreTests.Octets(Chunked), await BodyStoreTests.ReadAsync(_cluster.Nodes[0].Bodies, id));
    }

    [Fact]
    public async Task A_copy_that_can_not_be_mended_is_struck_off_but_never_the_last_one()
    {
        Form(minCopies: 2);
        var id = await EnqueueAsync(1, Chunked, 0, 1);
        BodyReplicasTests.Damage(_cluster.Nodes[0], id, 1);
        BodyReplicasTests.Damage(_cluster.Nodes[1], id, 1);
        Form(minCopies: 3);
        await LookUntilAsync(() => HoldersOf(id).Count == 1);
        Assert.Equal([HolderOf(1)], HoldersOf(id));

        // A page ends with what the log is told of it, and a look with the last page.
        for (uint n = 2; n < 4; n++)
        {
            var other = await EnqueueAsync(n, 20_000, 0, 1, 2);
            Propose(new HoldersChangedCommand([other], HolderOf(2), Added: false));
            Propose(new HoldersChangedCommand([other], HolderOf(0), Added: false));
            await LookUntilAsync(() => HoldersOf(other).Count > 1);
        }

        Assert.Equal([HolderOf(1)], HoldersOf(id));
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var keeper in _keepers)
        {
            await keeper.DisposeAsync();
        }

        foreach (var state in _states)
        {
            await state.DisposeAsync();
        }

        await _cluster.DisposeAsync();
    }

    private static BodyHolder HolderOf(int index) => new(MemoryCluster.NameOf(index), 1);

    private void Form(int minCopies)
    {
        Propose(new NodesChangedCommand([HolderOf(0), HolderOf(1), HolderOf(2)], minCopies, Version: minCopies));
        _cluster.Members = _states[0].Members!;
    }

    private async Task<QueueId> EnqueueAsync(uint number, int size, params int[] holders)
    {
        var id = QueueId.Create(1_700_000_000_000, number);
        BodyReceipt receipt = default;
        foreach (var holder in holders)
        {
            receipt = await BodyStoreTests.WriteAsync(new BodyStore(_cluster.Nodes[holder].Database), id, BodyStoreTests.Octets(size));
        }

        var proposal = Propose(new EnqueueCommand(
            id, new Envelope("a@b", [new EnvelopeRecipient("c@d")]), size, BodyTraits.None, receipt.Hash, [.. holders.Select(HolderOf)], MemoryCluster.NameOf(holders[0])));
        Assert.True(proposal.IsAccepted);
        return id;
    }

    private IReadOnlyList<BodyHolder> HoldersOf(QueueId id) => _states[0].TryGet(id, out var message) ? message.Holders : [];

    private async Task LookUntilAsync(Func<bool> condition)
    {
        _time.Advance(TimeSpan.FromSeconds(1));
        await MailQueueTests.UntilAsync(condition);
    }

    private QueueProposal Propose(QueueCommand command)
    {
        lock (_log)
        {
            _index++;
            var answers = new ReadOnlyMemory<byte>[1];
            foreach (var state in _states)
            {
                state.Apply(_index, 0, [QueueEncoding.Encode(command)], answers);
            }

            return new QueueProposal(ProposalOutcome.Applied, QueueAnswer.Decode(answers[0].Span)!.Value.Status);
        }
    }
}
