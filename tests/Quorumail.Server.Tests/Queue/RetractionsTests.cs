using System.Collections.Concurrent;
using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Cluster.Log;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Queue;
using Quorumail.Server.Storage;
using Quorumail.Server.Tests.Storage;

namespace Quorumail.Server.Tests.Queue;

public sealed class RetractionsTests
{
    private static readonly QueueId Id = QueueId.Create(1_700_000_000_000, 7);

    private readonly ConcurrentQueue<QueueCommand> _proposed = new();

    [Fact]
    public async Task What_a_disk_remembers_to_take_back_is_taken_back_in_the_next_life()
    {
        using TemporaryDirectory directory = new();
        await using (var database = BodyStoreTests.Open(directory))
        {
            await using var retractions = Begin(database, accepts: false);
            Assert.True(await retractions.AddAsync(Id, withdraws: true));
        }

        _proposed.Clear();
        await using var again = BodyStoreTests.Open(directory);
        await using var later = Begin(again, accepts: true);
        await MailQueueTests.UntilAsync(() => later.Count == 0);
        Assert.Equal([new WithdrawCommand(Id)], _proposed);
    }

    [Fact]
    public async Task A_250_that_was_perhaps_not_read_is_listed_in_the_next_life_if_not_in_this_one()
    {
        using TemporaryDirectory directory = new();
        await using (var database = BodyStoreTests.Open(directory))
        {
            await using var retractions = Begin(database, accepts: false);
            Assert.True(await retractions.AddUnreadAsync(Id));
            Assert.False(retractions.Contains(Id));
        }

        _proposed.Clear();
        await using (var again = BodyStoreTests.Open(directory))
        {
            await using var later = Begin(again, accepts: true);
            await MailQueueTests.UntilAsync(() => later.Count == 0);
            Assert.Equal([new ReportUnreadReplyCommand(Id)], _proposed);
        }

        await using var last = BodyStoreTests.Open(directory);
        await using var idle = Begin(last, accepts: true);
        Assert.Equal(0, idle.Count);
    }

    [Fact]
    public async Task What_can_be_told_is_told_before_the_end()
    {
        using TemporaryDirectory directory = new();
        await using var database = BodyStoreTests.Open(directory);
        await using (var retractions = Begin(database, accepts: true))
        {
            Assert.True(await retractions.AddUnreadAsync(Id));
        }

        Assert.Equal([new ReportUnreadReplyCommand(Id)], _proposed);
    }

    [Fact]
    public async Task A_disk_that_has_failed_says_that_it_can_not_remember()
    {
        using TemporaryDirectory directory = new();
        await using var database = BodyStoreTests.Open(directory);
        await using var retractions = Begin(database, accepts: false);
        database.Health.Fail(new IOException("the power is gone"));
        Assert.False(await retractions.AddAsync(Id, withdraws: true));
        Assert.False(await retractions.AddUnreadAsync(Id));
        Assert.Equal(0, retractions.Count);
    }

    [Fact]
    public async Task Many_messages_are_taken_back_at_once_and_those_first_that_may_be_delivered()
    {
        using TemporaryDirectory directory = new();
        await using var database = BodyStoreTests.Open(directory);
        ConcurrentQueue<TaskCompletionSource> answers = new();
        await using Retractions retractions = new(
            database,
            async (command, token) =>
            {
                TaskCompletionSource answer = new();
                answers.Enqueue(answer);
                _proposed.Enqueue(command);
                await answer.Task.WaitAsync(token);
                return new QueueProposal(ProposalOutcome.Applied, default);
            },
            TimeSpan.FromDays(1),
            TimeProvider.System,
            NullLogger.Instance);
        retractions.Start();
        for (uint i = 0; i < Retractions.AtOnce + 2; i++)
        {
            await retractions.AddAsync(QueueId.Create(1, i), withdraws: false);
        }

        await MailQueueTests.UntilAsync(() => _proposed.Count == Retractions.AtOnce);
        await retractions.AddAsync(Id, withdraws: true);
        Assert.True(answers.TryDequeue(out var first));
        first.SetResult();
        await MailQueueTests.UntilAsync(() => _proposed.Count == Retractions.AtOnce + 1);
        Assert.Equal(new WithdrawCommand(Id), _proposed.Last());
    }

    private Retractions Begin(Database database, bool accepts)
    {
        Retractions retractions = new(
            database,
            (command, _) =>
            {
                _proposed.Enqueue(command);
                return ValueTask.FromResult(new QueueProposal(accepts ? ProposalOutcome.Applied : ProposalOutcome.Unknown, default));
            },
            TimeSpan.FromSeconds(5),
            TimeProvider.System,
            NullLogger.Instance);
        retractions.Start();
        return retractions;
    }
}
