using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Core.Limits;
using Quorumail.Server.Limits;
using Quorumail.Server.Limits.Format;

namespace Quorumail.Server.Tests.Limits;

/// <summary>A log of limits that commits at once, or as the test says, for any number of nodes; its time is the test's.</summary>
internal sealed class DirectLog(TimeProvider time)
{
    private readonly Lock _lock = new();
    private long _proposals;

    public ReplicatedLimits State { get; } = new(new LimitState());

    /// <summary>Commands proposed so far.</summary>
    public long Proposals => Interlocked.Read(ref _proposals);

    /// <summary>What a proposal waits for before it is applied; false: nobody learns what became of it.</summary>
    public Func<LimitCommand, Task<bool>> Decide { get; set; } = static _ => Task.FromResult(true);

    private long Now => time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>A node's use of the limits.</summary>
    public SharedLimits NodeOf(string name) => new(State, ProposeAsync, () => Now, name, time, NullLogger.Instance);

    public LimitAnswer Apply(LimitCommand command)
    {
        lock (_lock)
        {
            return LimitEncoding.DecodeAnswer(State.Apply(ReplicatedLimits.Encode(command), Now).Span)!.Value;
        }
    }

    public async ValueTask<LimitAnswer?> ProposeAsync(LimitCommand command, CancellationToken token)
    {
        Interlocked.Increment(ref _proposals);
        var isKnown = await Decide(command).WaitAsync(token);
        var answer = Apply(command);
        return isKnown ? answer : null;
    }

    /// <summary>Defines a limit of connections.</summary>
    public void DefineConnections(string name, int capacity, int lease = 30_000) => Assert.Equal(
        LimitStatus.Granted, Apply(new DefineLimitCommand(new LimitDefinition(name, LimitKind.Concurrency, capacity, lease, LimitPolicy.Closed))).Status);

    /// <summary>Defines a limit of messages in an hour.</summary>
    public void Define(string name, int capacity, LimitPolicy policy = LimitPolicy.Closed) =>
        Assert.Equal(LimitStatus.Granted, Apply(new DefineLimitCommand(new LimitDefinition(name, LimitKind.Rate, capacity, 3_600_000, policy))).Status);
}
