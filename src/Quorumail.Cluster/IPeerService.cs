namespace Quorumail.Cluster;

/// <summary>
/// What a program that embeds a cluster node answers to the same program on the other nodes. Questions travel on a
/// connection of their own, so that heartbeats and votes never wait for them.
/// </summary>
public interface IPeerService
{
    /// <summary>Answers a question. Called from any thread, many at once; must not block before it first awaits.</summary>
    /// <param name="peer">Who asks; a member of this cluster, or about to become one.</param>
    /// <param name="question">Valid until the returned task ends.</param>
    /// <param name="token">Cancelled when the connection ends.</param>
    /// <returns>At most about 1 MiB. An exception tells the asker only that there is no answer.</returns>
    ValueTask<ReadOnlyMemory<byte>> AnswerAsync(ClusterPeer peer, ReadOnlyMemory<byte> question, CancellationToken token);
}
