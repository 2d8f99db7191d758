using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Cluster.Log;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Queue;
using Quorumail.Server.Storage;
using Quorumail.Server.Tests.Storage;

namespace Quorumail.Server.Tests.Queue;

public sealed class MailQueueTests
{
    private static readonly Envelope SomeEnvelope = new("a@b.example", [new EnvelopeRecipient("c@d.example")]);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_was_enqueued_is_there_after_a_restart_with_its_body()
    {
        using var directory = new TemporaryDirectory();
        var octets = BodyStoreTests.Octets(5000);
        QueueId id;
        await using (var queue = await OpenAsync(directory))
        {
            id = await EnqueueAsync(queue, octets);
            Assert.True(queue.IsReady);
            Assert.Equal(1, queue.Count);
        }

        await using var again = await OpenAsync(directory);
        Assert.True(again.TryGet(id, out var message));
        Assert.Equal("a@b.example", message.ReversePath);
        Assert.Equal("c@d.example", Assert.Single(message.Recipients).Envelope.Address);
        Assert.Equal(octets, await BodyStoreTests.ReadAsync(again.Bodies, id));
        Assert.True(again.Changes.TryRead(out var change));
        Assert.Equal(id, change.Id);
        Assert.Equal(QueueEncodingTests.Text(message), QueueEncodingTests.Text(change.Message));
        Assert.False(again.Changes.TryRead(out _));
    }

    [Fact]
    public async Task A_delivered_message_leaves_neither_record_nor_body()
    {
        using var directory = new TemporaryDirectory();
        await using (var queue = await OpenAsync(directory))
        {
            var id = await EnqueueAsync(queue, BodyStoreTests.Octets(200_000));
            Assert.True(queue.TryGet(id, out var message));
            var started = await queue.ProposeAsync(new AttemptStartedCommand(id, message.Epoch, 1, [0]), Token);
            Assert.True(started.IsAccepted);
            var ended = await queue.ProposeAsync(
                new AttemptEndedCommand(id, message.Epoch, 1,
                    [new RecipientResult(0, RecipientOutcome.Delivered, "250 ok", "2.0.0", "mx")], []),
                Token);
            Assert.True(ended.IsAccepted);
            Assert.Equal(0, queue.Count);
        }

        await using var again = await OpenAsync(directory);
        Assert.Equal(0, again.Count);
        Assert.Empty(again.Bodies.Ids());
    }

    [Fact]
    public async Task A_body_without_a_message_is_given_up_at_the_next_start()
    {
        using var directory = new TemporaryDirectory();
        QueueId kept;
        await using (var queue = await OpenAsync(directory))
        {
            kept = await EnqueueAsync(queue, BodyStoreTests.Octets(10));
            await BodyStoreTests.WriteAsync(queue.Bodies, queue.NewId(), BodyStoreTests.Octets(10));
            await BodyStoreTests.WriteAsync(queue.Bodies, queue.NewId(), BodyStoreTests.Octets(200_000));
        }

        await using (var queue = await OpenAsync(directory))
        {
            await UntilAsync(() => queue.Bodies.Ids().SequenceEqual([kept]));
        }

        await using var again = await OpenAsync(directory);
        Assert.Equal([kept], again.Bodies.Ids());
        Assert.Equal(1, again.Count);
    }

    [Fact]
    public async Task An_enqueue_of_unknown_outcome_is_taken_back()
    {
        using var directory = new TemporaryDirectory();
        await using var queue = await OpenAsync(directory);
        var id = queue.NewId();
        var receipt = await BodyStoreTests.WriteAsync(queue.Bodies, id, BodyStoreTests.Octets(100));
        using var impatient = new CancellationTokenSource();
        var enqueue = queue.EnqueueAsync(id, SomeEnvelope, receipt, BodyTraits.None, impatient.Token);
        await impatient.CancelAsync();
        var proposal = await enqueue;
        if (proposal.Outcome == ProposalOutcome.Unknown)
        {
            await UntilAsync(() => queue.RetractionCount == 0 && queue.Count == 0 && !queue.Bodies.Ids().Any());
        }
        else
        {
            Assert.True(proposal.IsAccepted);
        }
    }

    [Fact]
    public async Task An_attempts_start_and_end_may_wait_for_others_and_nothing_that_a_client_waits_for()
    {
        using var directory = new TemporaryDirectory();
        var options = new MailQueueOptions { Database = new DatabaseOptions { Path = directory.Path } };
        var disk = await QueueDisk.OpenAsync(options, null, TimeProvider.System, NullLoggerFactory.Instance);
        await using var log = new FixedLog(ProposalOutcome.Refused);
        await using var queue = new MailQueue(
            disk, log, () => ValueTask.CompletedTask, "node", () => 1, options, TimeProvider.System, NullLoggerFactory.Instance);
        var id = queue.NewId();

        await queue.ProposeAsync(new AttemptStartedCommand(id, 0, 1, [0]), Token);
        await queue.ProposeAsync(new AttemptEndedCommand(id, 0, 1, [], []), Token);
        Assert.Equal(2, log.ProposedWithOthers);
        await queue.EnqueueAsync(id, SomeEnvelope, new BodyReceipt(3, new byte[16]), BodyTraits.None, Token);
        await queue.ProposeAsync(new WithdrawCommand(id), Token);
        Assert.Equal(2, log.ProposedWithOthers);
    }

    // Others may commit it, and a disk that has failed can't remember to take it back: the client must not be told anything.
    [Theory]
    [InlineData(ProposalOutcome.Unknown, true, true)]
    [InlineData(ProposalOutcome.Unknown, false, false)]
    [InlineData(ProposalOutcome.Refused, true, false)]
    public async Task An_enqueue_is_left_open_if_its_outcome_is_unknown_and_the_disk_has_failed(ProposalOutcome outcome, bool hasFailed, bool isLeftOpen)
    {
        using var directory = new TemporaryDirectory();
        var options = new MailQueueOptions { Database = new DatabaseOptions { Path = directory.Path } };
        var disk = await QueueDisk.OpenAsync(options, null, TimeProvider.System, NullLoggerFactory.Instance);
        await using var queue = new MailQueue(
            disk, new FixedLog(outcome), () => ValueTask.CompletedTask, "node", () => 1, options, TimeProvider.System, NullLoggerFactory.Instance);
        if (hasFailed)
        {
            disk.Database.Health.Fail(new IOException("the power is gone"));
        }

        var proposal = await queue.EnqueueAsync(queue.NewId(), SomeEnvelope, new BodyReceipt(3, new byte[16]), BodyTraits.None, Token);
        Assert.Equal((outcome, isLeftOpen), (proposal.Outcome, proposal.IsLeftOpen));
        Assert.Equal(hasFailed ? 0 : 1, queue.RetractionCount);
    }

    [Fact]
    public async Task A_given_up_body_goes_without_a_restart()
    {
        using var directory = new TemporaryDirectory();
        await using var queue = await OpenAsync(directory);
        var id = queue.NewId();
        await BodyStoreTests.WriteAsync(queue.Bodies, id, BodyStoreTests.Octets(100));
        await queue.AbandonAsync(id);
        await UntilAsync(() => queue.RetractionCount == 0 && !queue.Bodies.Ids().Any());
    }

    [Fact]
    public async Task A_directory_in_use_is_refused_by_name()
    {
        using var directory = new TemporaryDirectory();
        await using var queue = await OpenAsync(directory);
        var refused = await Assert.ThrowsAsync<StorageException>(() => OpenAsync(directory));
        Assert.Contains(directory.Path, refused.Message, StringComparison.Ordinal);
        Assert.Contains("in use", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_directory_of_another_node_is_refused()
    {
        using var directory = new TemporaryDirectory();
        await using (await OpenAsync(directory))
        {
        }

        var refused = await Assert.ThrowsAsync<StorageException>(() => OpenAsync(directory, "somebody-else"));
        Assert.Contains("somebody-else", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task No_id_is_made_twice()
    {
        using var directory = new TemporaryDirectory();
        await using var queue = await OpenAsync(directory);
        var ids = new HashSet<QueueId>();
        for (var i = 0; i < 100_000; i++)
        {
            Assert.True(ids.Add(queue.NewId()));
        }
    }

    internal static Task<MailQueue> OpenAsync(TemporaryDirectory directory, string? nodeId = null, ILoggerFactory? logs = null) =>
        MailQueue.OpenAsync(
            new MailQueueOptions { Database = new DatabaseOptions { Path = directory.Path }, NodeId = nodeId },
            TimeProvider.System, logs ?? NullLoggerFactory.Instance, Token);

    internal static async Task<QueueId> EnqueueAsync(MailQueue queue, byte[] octets)
    {
        var id = queue.NewId();
        var receipt = await BodyStoreTests.WriteAsync(queue.Bodies, id, octets);
        var proposal = await queue.EnqueueAsync(id, SomeEnvelope, receipt, BodyTraits.None, Token);
        Assert.True(proposal.IsAccepted, proposal.ToString());
        return id;
    }

    /// <summary>Waits for something that happens in the background and has no event of its own.</summary>
    internal static async Task UntilAsync(Func<bool> condition)
    {
        var watch = Stopwatch.StartNew();
        while (!condition())
        {
            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(30), "it did not happen within 30 s");
            await Task.Delay(5, Token);
        }
    }

    /// <summary>A log that answers every proposal alike.</summary>
    private sealed class FixedLog(ProposalOutcome outcome) : IReplicatedLog
    {
        public long CommitIndex => 0;

        public long AppliedIndex => 0;

        public long Term => 1;

        public bool IsReady => true;

        public long ClusterTime => 0;

        public Task<Exception> Failed { get; } = new TaskCompletionSource<Exception>().Task;

        public Task StartAsync(CancellationToken token) => Task.CompletedTask;

        public int ProposedWithOthers { get; private set; }

        public ValueTask<ProposalResult> ProposeAsync(ReadOnlyMemory<byte> command, CancellationToken token) =>
            ValueTask.FromResult(new ProposalResult(outcome, 0, default, "said the test"));

        public ValueTask<ProposalResult> ProposeWithOthersAsync(ReadOnlyMemory<byte> command, CancellationToken token)
        {
            ProposedWithOthers++;
            return ProposeAsync(command, token);
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
