using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Transport;

/// <summary>
/// Who is told what comes in. Calls come from any thread and must not block; those of one connection come in the order
/// of its frames.
/// </summary>
internal interface ITransportHandler
{
    /// <summary>A peer can be sent to from now on. (If it says something new of itself, it is disconnected first.)</summary>
    void Connected(NodeHello peer);

    /// <summary>Why a peer that has proven the cluster's token is not to be let in, or null: an old incarnation, for example.</summary>
    string? Refusal(NodeHello peer) => null;

    /// <summary>A peer can't be sent to any more.</summary>
    /// <param name="peer">Which.</param>
    /// <param name="isRefused">
    /// It refuses to be dialled again: its process is gone. This comes as a second call, soon after the first with false.
    /// </param>
    void Disconnected(NodeHello peer, bool isRefused);

    /// <summary>A frame that wants no answer (types 1 to 5).</summary>
    /// <param name="peer">The sender.</param>
    /// <param name="type">The frame's type.</param>
    /// <param name="body">Valid during the call only.</param>
    void Received(NodeHello peer, FrameType type, ReadOnlyMemory<byte> body);

    /// <summary>A frame that asks; the answer goes back in the frame of the next type.</summary>
    /// <param name="peer">The sender.</param>
    /// <param name="type">The frame's type, even.</param>
    /// <param name="body">Without the asker's number; valid until the returned task ends.</param>
    /// <param name="token">Cancelled when the connection ends.</param>
    ValueTask<ReadOnlyMemory<byte>> AnswerAsync(NodeHello peer, FrameType type, ReadOnlyMemory<byte> body, CancellationToken token);
}
