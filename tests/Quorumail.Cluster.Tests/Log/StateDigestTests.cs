using Quorumail.Cluster.Log;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Tests.Log;

public sealed class StateDigestTests
{
    private const int Stretch = StateDigest.Stretch;

    [Fact]
    public void Equal_logs_give_equal_claims()
    {
        StateDigest one = After(3 * Stretch);
        StateDigest other = After((2 * Stretch) + 10);
        Assert.Equal(3 * Stretch, one.Latest?.UpTo);
        Assert.True(one.Confirms(other.Latest!.Value));
        Assert.Null(other.Confirms(one.Latest!.Value));
    }

    [Fact]
    public void Another_answer_or_another_time_gives_another_claim_for_its_stretch_alone()
    {
        StateDigest one = After(2 * Stretch);
        foreach (StateDigest other in new[] { After(Stretch, answerOf: Off), After(Stretch, stampOf: index => index == 100 ? 101 : index) })
        {
            Assert.False(one.Confirms(other.Latest!.Value));
        }

        Assert.True(one.Confirms(After(2 * Stretch, answerOf: Off).Latest!.Value));

        static byte Off(long index) => (byte)(index == 100 ? 0 : 7);
    }

    [Fact]
    public void A_stretch_that_was_not_applied_whole_has_no_claim()
    {
        Assert.Null(After(Stretch - 1).Latest);
        Assert.Null(After(Stretch, first: 2).Latest);

        StateDigest gap = After(Stretch - 10);
        Apply(gap, Stretch, Stretch);
        Assert.Null(gap.Latest);

        StateDigest skipped = After(Stretch - 10);
        skipped.Skipped();
        Apply(skipped, Stretch - 9, 2 * Stretch);
        Assert.Equal(2 * Stretch, skipped.Latest?.UpTo);
        Assert.Null(skipped.Confirms(new StateClaim(Stretch, 0)));
    }

    [Fact]
    public void What_a_state_held_already_is_not_claimed()
    {
        MemoryState state = new();
        ClusterState cluster = new(null);
        StateApplier first = new(new ReplicatedStates(cluster, state));
        Commands(first, 1, 10);

        StateApplier again = new(new ReplicatedStates(new ClusterState(null), state));
        Commands(again, 1, 2 * Stretch);
        Assert.Equal(2 * Stretch, again.Digest.Latest?.UpTo);
        Assert.Null(again.Digest.Confirms(new StateClaim(Stretch, 0)));
    }

    private static StateDigest After(long last, long first = 1, Func<long, byte>? answerOf = null, Func<long, long>? stampOf = null)
    {
        StateDigest digest = new();
        Apply(digest, first, last, answerOf, stampOf);
        return digest;
    }

    private static void Apply(StateDigest digest, long first, long last, Func<long, byte>? answerOf = null, Func<long, long>? stampOf = null)
    {
        for (long index = first; index <= last; index++)
        {
            digest.Answered([new[] { answerOf?.Invoke(index) ?? (byte)7 }]);
            digest.Entry(index, stampOf?.Invoke(index) ?? index);
        }
    }

    private static void Commands(StateApplier applier, long first, long last)
    {
        for (long index = first; index <= last; index++)
        {
            byte[] entry = new byte[LogEntryFormat.HeaderSize + LogEntryFormat.CommandHeaderSize + 1];
            LogEntryFormat.WriteHeader(entry, index, 1);
            LogEntryFormat.WriteCommand(entry.AsSpan(LogEntryFormat.HeaderSize), new LoggedCommand(CommandTarget.Application, 1, (ulong)index, new byte[1]));
            applier.Apply(index, entry);
        }
    }
}
