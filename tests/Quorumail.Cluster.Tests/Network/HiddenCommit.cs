using Quorumail.Cluster.Raft;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Tests.Network;

/// <summary>
/// Loses what would tell a leader's followers that a change of members is committed, as if the leader died right then; they
/// get the entry itself. For <see cref="FaultyNetwork.Loses"/>.
/// </summary>
internal sealed class HiddenCommit(string leader)
{
    private readonly Lock _lock = new();
    private long _index = long.MaxValue;

    /// <summary>Index of the entry that changes the members.</summary>
    public long Index
    {
        get
        {
            lock (_lock)
            {
                return _index;
            }
        }
    }

    public bool Loses(string from, string to, FrameType type, ReadOnlyMemory<byte> body)
    {
        if (from != leader || type != FrameType.Append)
        {
            return false;
        }

        Holds(from, type, body);
        return AppendFrame.Read(body).CommitIndex >= Index;
    }

    /// <summary>Whether a frame holds the entry that changes the members.</summary>
    public bool Holds(string from, FrameType type, ReadOnlyMemory<byte> body)
    {
        if (from != leader || type != FrameType.Append)
        {
            return false;
        }

        bool holds = false;
        AppendFrame frame = AppendFrame.Read(body);
        lock (_lock)
        {
            for (long index = frame.PreviousIndex + 1; frame.RemainingCount > 0; index++)
            {
                Assert.True(frame.MoveNextAsync().IsCompletedSuccessfully);
                if (frame.Current.IsConfiguration)
                {
                    holds = true;
                    _index = Math.Min(_index, index);
                }
            }
        }

        return holds;
    }
}
