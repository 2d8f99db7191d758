using System.Buffers;
using Quorumail.Cluster;

namespace Quorumail.Server.Replication;

/// <summary>
/// Sends pieces of bodies to one disk of another node. What gathers while frames are under way shares the next one; nothing
/// waits for company. Bounded: whoever finds no room does without this copy.
/// </summary>
internal sealed class PeerCopier(ClusterPeer peer, IPeers peers)
{
    /// <summary>Frames under way at once: while one is being synced there, others are sent.</summary>
    private const int FramesMax = 4;

    private const int FrameBytesMin = 16 << 10;
    private const int FrameBytesMax = 256 << 10;

    /// <summary>Bytes that wait at most; a node that takes 20 MB/s is a second behind then.</summary>
    private const long WaitingBytesMax = 24L << 20;

    private readonly Lock _gate = new();
    private readonly Queue<Frame> _waiting = new();
    private Frame? _open;
    private long _waitingBytes;
    private int _underWay;

    /// <summary>The disk.</summary>
    public ClusterPeer Peer => peer;

    /// <summary>Takes a piece, which is copied; <see cref="BodyCopies.Answered"/> is called for it once, if it was taken.</summary>
    /// <returns>Whether there was room.</returns>
    public bool TryAdd(BodyCopies copies, uint number, ReadOnlySpan<byte> record, byte flags)
    {
        lock (_gate)
        {
            if (_waitingBytes + record.Length > WaitingBytesMax)
            {
                return false;
            }

            var length = BodyFrame.PieceHeaderLength + record.Length;
            if (_open is null || _open.Length + length > FrameBytesMax)
            {
                _open = new Frame(peer.Incarnation, length);
                _waiting.Enqueue(_open);
            }

            _open.Add(copies, number, record, flags);
            _waitingBytes += length;
            if (_underWay == FramesMax)
            {
                return true;
            }

            _underWay++;
        }

        _ = SendAsync();
        return true;
    }

    private async Task SendAsync()
    {
        while (TryTake(out var frame))
        {
            ReadOnlyMemory<byte> answer = default;
            try
            {
                answer = await peers.AskAsync(peer.NodeId, frame.Content, CancellationToken.None);
            }
            catch (Exception unreachable) when (unreachable is IOException or OperationCanceledException or ObjectDisposedException or InvalidOperationException)
            {
                // What the pieces have become is unknown.
            }

            frame.End(this, answer.Span);
        }
    }

    private bool TryTake(out Frame frame)
    {
        lock (_gate)
        {
            if (!_waiting.TryDequeue(out frame!))
            {
                _underWay--;
                return false;
            }

            if (_open == frame)
            {
                _open = null;
            }

            _waitingBytes -= frame.Length - BodyFrame.HeaderLength;
            return true;
        }
    }

    /// <summary>Pieces that travel together.</summary>
    private sealed class Frame
    {
        private readonly List<(BodyCopies Copies, uint Number, int Length)> _pieces = [];
        private byte[] _buffer;

        public Frame(int incarnation, int expected)
        {
            _buffer = ArrayPool<byte>.Shared.Rent(Math.Max(FrameBytesMin, BodyFrame.HeaderLength + expected));
            BodyFrame.WriteHeader(_buffer, BodyFrame.Store, incarnation);
            Length = BodyFrame.HeaderLength;
        }

        public int Length { get; private set; }

        public ReadOnlyMemory<byte> Content => _buffer.AsMemory(0, Length);

        public void Add(BodyCopies copies, uint number, ReadOnlySpan<byte> record, byte flags)
        {
            var needed = Length + BodyFrame.PieceHeaderLength + record.Length;
            if (_buffer.Length < needed)
            {
                var larger = ArrayPool<byte>.Shared.Rent(Math.Max(needed, Math.Min(4 * _buffer.Length, FrameBytesMax)));
                _buffer.AsSpan(0, Length).CopyTo(larger);
                ArrayPool<byte>.Shared.Return(_buffer);
                _buffer = larger;
            }

            Length += BodyFrame.WritePiece(_buffer.AsSpan(Length), flags, copies.Id, number, record);
            _pieces.Add((copies, number, record.Length));
        }

        public void End(PeerCopier copier, ReadOnlySpan<byte> answer)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = [];
            for (var i = 0; i < _pieces.Count; i++)
            {
                var (copies, number, length) = _pieces[i];
                copies.Answered(copier, number, length, answer.Length == _pieces.Count ? (CopyStatus)answer[i] : CopyStatus.Unknown);
            }
        }
    }
}
