using System.Collections.Concurrent;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Raft;

namespace Quorumail.Cluster.Tests.Raft;

public sealed class ProposalQueueTests
{
    private readonly ManualTime _time = new(DateTimeOffset.UnixEpoch);
    private readonly ProposalQueue _queue;

    public ProposalQueueTests()
    {
        _queue = new ProposalQueue(new ClusterNodeOptions { NodeId = "a", Directory = "" }, _time);
        _queue.Open(1, 1);
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public void What_may_wait_shares_the_batch_of_the_next_that_may_not()
    {
        Assert.True(Add(mayWait: false));
        Assert.Equal(1, _queue.Take()?.ProposalCount);
        Assert.Null(_queue.Take());

        Assert.False(Add(mayWait: true));
        Assert.True(Add(mayWait: false));
        Assert.Equal(2, _queue.Take()?.ProposalCount);
    }

    [Fact]
    public void What_comes_while_a_batch_is_under_way_waits_after_it_too()
    {
        Assert.True(Add(mayWait: false));
        Assert.NotNull(_queue.Take());
        Assert.False(Add(mayWait: true));
        Assert.Null(_queue.Take());

        Assert.True(Add(mayWait: false), "taking has to be started again");
        Assert.Equal(2, _queue.Take()?.ProposalCount);
    }

    [Fact]
    public void Where_nothing_that_may_not_wait_has_come_lately_nothing_waits()
    {
        Assert.True(Add(mayWait: true));
        Assert.Equal(1, _queue.Take()?.ProposalCount);
        Assert.Null(_queue.Take());

        Assert.True(Add(mayWait: false));
        Assert.NotNull(_queue.Take());
        Assert.Null(_queue.Take());
        _time.Pass(TimeSpan.FromMilliseconds(5));
        Assert.True(Add(mayWait: true));
        Assert.NotNull(_queue.Take());
    }

    [Fact]
    public void Three_that_may_wait_are_company_enough()
    {
        Assert.True(Add(mayWait: false));
        Assert.NotNull(_queue.Take());
        Assert.Null(_queue.Take());

        Assert.False(Add(mayWait: true));
        Assert.False(Add(mayWait: true));
        Assert.True(Add(mayWait: true));
        Assert.Equal(3, _queue.Take()?.ProposalCount);
    }

    [Fact]
    public async Task What_waits_in_vain_is_taken_all_the_same()
    {
        var isOverdue = new TaskCompletionSource();
        _queue.Overdue = isOverdue.SetResult;
        Assert.True(Add(mayWait: false));
        Assert.NotNull(_queue.Take());
        Assert.Null(_queue.Take());

        Assert.False(Add(mayWait: true));
        _time.Pass(TimeSpan.FromMilliseconds(5));
        await isOverdue.Task.WaitAsync(TimeSpan.FromSeconds(10), Token);
        Assert.Equal(1, _queue.Take()?.ProposalCount);
        Assert.Null(_queue.Take());
        Assert.True(Add(mayWait: false));
    }

    [Fact]
    public async Task What_waits_for_less_than_a_millisecond_is_not_forgotten()
    {
        var isOverdue = new TaskCompletionSource();
        _queue.Overdue = isOverdue.SetResult;
        Assert.True(Add(mayWait: false));
        Assert.NotNull(_queue.Take());
        _time.Pass(TimeSpan.FromMilliseconds(4.5));
        Assert.False(Add(mayWait: true));
        Assert.Null(_queue.Take());

        _time.Pass(TimeSpan.FromMilliseconds(0.5));
        await isOverdue.Task.WaitAsync(TimeSpan.FromSeconds(10), Token);
        Assert.NotNull(_queue.Take());
    }

    [Fact]
    public void Closing_refuses_what_waits_for_others()
    {
        Assert.True(Add(mayWait: false));
        Assert.NotNull(_queue.Take());
        Assert.Null(_queue.Take());
        Assert.False(Add(mayWait: true));

        _queue.Close("it stops");
        Assert.True(_queue.Idle.IsCompleted);
        Assert.Equal(0, _queue.Waiting);
    }

    [Fact]
    public async Task Whose_client_waits_is_answered_before_those_that_came_earlier_and_could_wait()
    {
        Assert.True(Add(mayWait: false));
        Assert.NotNull(_queue.Take());
        Assert.Null(_queue.Take());

        ConcurrentQueue<bool> order = [];
        Task[] answered = [.. new[] { true, true, false, false }.Select(mayWait => _queue
            .TryAdd(CommandTarget.Application, new byte[] { 1 }, isNumbered: true, mayWait, out _, out _)!.Task
            .ContinueWith(_ => order.Enqueue(mayWait), Token, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default))];
        ProposalBatch? batch = _queue.Take();
        Assert.Equal(4, batch?.ProposalCount);
        batch!.Failed(ProposalOutcome.Refused, "it is enough to be answered");
        await Task.WhenAll(answered);
        Assert.Equal([false, false, true, true], order);
        Assert.True(batch.IsOver);
    }

    // Whether the caller is to start taking.
    private bool Add(bool mayWait)
    {
        Assert.NotNull(_queue.TryAdd(CommandTarget.Application, new byte[] { 1 }, isNumbered: true, mayWait, out bool start, out _));
        return start;
    }
}
