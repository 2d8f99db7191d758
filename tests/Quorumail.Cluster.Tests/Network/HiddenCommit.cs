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

    /// <summary>The rule (from, to, type, body).</summary>
    public Func<string, string, FrameType, ReadOnlyMemory<byte>, bool> Loses => (from, _, type, body) =>
    {
        if (from != leader || type != FrameType.Append)
        {
            return false;
        }

        Holds(from, type, body);
        return AppendFrame.Read(body).CommitIndex >= Index;
    };

    /// <summary>Whether a frame holds the entry that changes the members.</summary>
    public bool Holds(string from, FrameType type, ReadOnlyMemory<byte> body)
    {
        if (from != leader || type != FrameType.Append)
        {
            return false;
        }

        AppendFrame frame = AppendFrame.Read(body);
        int change = frame.Entries.ToList().FindIndex(e => e.IsConfiguration);
        if (change < 0)
        {
            return false;
        }

        lock (_lock)
        {
            _index = Math.Min(_index, frame.PreviousIndex + 1 + change);
        }

        return true;
    }
}
