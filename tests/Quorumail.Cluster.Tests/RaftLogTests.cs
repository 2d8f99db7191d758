using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Raft;

namespace Quorumail.Cluster.Tests;

public sealed class RaftLogTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("quorumail-log-").FullName;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task A_proposal_is_applied_once_and_answered()
    {
        MemoryState state = new();
        await using RaftLog log = await StartAsync(state);

        ProposalResult result = await log.ProposeAsync(Command(7), Token);

        Assert.Equal(ProposalOutcome.Applied, result.Outcome);
        Assert.Equal(Command(7), result.Value.ToArray());
        Assert.Equal(Command(7), Assert.Single(state.Applied).Command);
        Assert.Equal(result.Index, log.AppliedIndex);
        Assert.True(log.IsReady);
    }

    [Fact]
    public async Task Commands_of_one_proposer_are_applied_in_order()
    {
        MemoryState state = new();
        await using RaftLog log = await StartAsync(state);

        for (int i = 0; i < 200; i++)
        {
            Assert.Equal(ProposalOutcome.Applied, (await log.ProposeAsync(Command(i), Token)).Outcome);
        }

        Assert.Equal(Enumerable.Range(0, 200).Select(Command), state.Applied.Select(a => a.Command));
    }

    [Fact]
    public async Task A_restart_applies_what_was_acknowledged_exactly_once()
    {
        MemoryState state = new();
        await using (RaftLog log = await StartAsync(state))
        {
            await Task.WhenAll(Enumerable.Range(0, 500).Select(i => log.ProposeAsync(Command(i), Token).AsTask()));
        }

        MemoryState again = state.Reopen();
        Assert.Equal(0, again.Count);
        long term;
        await using (RaftLog log = await StartAsync(again))
        {
            term = log.Term;
            Assert.Equal(500, again.Count);
        }

        await using (RaftLog log = await StartAsync(again))
        {
            Assert.Equal(500, again.Count);
            Assert.True(log.Term > term);
        }
    }

    private static byte[] Command(int value) => BitConverter.GetBytes(value);

    private async Task<RaftLog> StartAsync(MemoryState state)
    {
        RaftLog log = new(new RaftLogOptions { NodeId = "node1", Directory = _directory }, state, TimeProvider.System, NullLogger.Instance);
        await log.StartAsync(Token);
        return log;
    }
}
