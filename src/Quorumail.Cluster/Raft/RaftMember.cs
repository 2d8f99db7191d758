using System.Net;
using DotNext.IO;
using DotNext.Net.Cluster;
using DotNext.Net.Cluster.Consensus.Raft;

namespace Quorumail.Cluster.Raft;

/// <summary>A member as the engine knows it. This node alone so far: nothing is ever sent to it.</summary>
internal sealed class RaftMember(EndPoint endPoint, Func<RaftMember, bool> isLeader) : IRaftClusterMember, IDisposable
{
    private IRaftClusterMember.ReplicationState _state;

    event Action<ClusterMemberStatusChangedEventArgs> IClusterMember.MemberStatusChanged
    {
        add { }
        remove { }
    }

    /// <summary>Logical: the node's name and the incarnation of its disk. Where it is dialled is the transport's business.</summary>
    public EndPoint EndPoint => endPoint;

    public bool IsLeader => isLeader(this);

    public bool IsRemote => false;

    public ClusterMemberStatus Status => ClusterMemberStatus.Available;

    ref IRaftClusterMember.ReplicationState IRaftClusterMember.State => ref _state;

    public ValueTask<IReadOnlyDictionary<string, string>> GetMetadataAsync(bool refresh = false, CancellationToken token = default) =>
        ValueTask.FromResult<IReadOnlyDictionary<string, string>>(new Dictionary<string, string>(StringComparer.Ordinal));

    public Task<bool> ResignAsync(CancellationToken token) => Task.FromResult(false);

    public void Dispose()
    {
    }

    Task<Result<bool>> IRaftClusterMember.VoteAsync(long term, long lastLogIndex, long lastLogTerm, CancellationToken token) =>
        Task.FromResult(new Result<bool> { Term = term, Value = true });

    Task<Result<PreVoteResult>> IRaftClusterMember.PreVoteAsync(long term, long lastLogIndex, long lastLogTerm, CancellationToken token) =>
        Task.FromResult(new Result<PreVoteResult> { Term = term, Value = PreVoteResult.Accepted });

    Task<Result<ReplicationStatus>> IRaftClusterMember.AppendEntriesAsync<TEntry, TList>(
        long term, TList entries, long prevLogIndex, long prevLogTerm, long commitIndex, CancellationToken token) =>
        throw NotRemote();

    Task<Result<HeartbeatResult>> IRaftClusterMember.InstallSnapshotAsync(
        long term, IRaftLogEntry snapshot, long snapshotIndex, IDataTransferObject configuration, long configurationVersion, CancellationToken token) =>
        throw NotRemote();

    Task<long?> IRaftClusterMember.SynchronizeAsync(long commitIndex, CancellationToken token) => throw NotRemote();

    ValueTask IRaftClusterMember.CancelPendingRequestsAsync() => ValueTask.CompletedTask;

    private static InvalidOperationException NotRemote() => new("The local member is written to directly, never over the wire.");
}
