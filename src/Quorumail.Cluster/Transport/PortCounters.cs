using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Transport;

/// <summary>What went through the cluster port since the process began. Read and written by any thread.</summary>
internal sealed class PortCounters
{
    private readonly long[] _framesSent = new long[256];
    private readonly long[] _framesReceived = new long[256];
    private readonly long[] _refused = new long[256];
    private long _bytesSent;
    private long _bytesReceived;

    /// <summary>Bytes of frames sent, headers included.</summary>
    public long BytesSent => Volatile.Read(ref _bytesSent);

    /// <summary>Bytes of frames received, headers included.</summary>
    public long BytesReceived => Volatile.Read(ref _bytesReceived);

    /// <summary>Frames sent.</summary>
    public long FramesSent(FrameType type) => Volatile.Read(ref _framesSent[(byte)type]);

    /// <summary>Frames received.</summary>
    public long FramesReceived(FrameType type) => Volatile.Read(ref _framesReceived[(byte)type]);

    /// <summary>Connections that were not opened, or closed for what came: by whichever side refused.</summary>
    public long Refused(RefusalReason reason) => Volatile.Read(ref _refused[(byte)reason]);

    public void Sent(FrameType type, int bytes)
    {
        Interlocked.Increment(ref _framesSent[(byte)type]);
        Interlocked.Add(ref _bytesSent, bytes);
    }

    public void Received(FrameType type, int bytes)
    {
        Interlocked.Increment(ref _framesReceived[(byte)type]);
        Interlocked.Add(ref _bytesReceived, bytes);
    }

    public void Refuse(RefusalReason reason) => Interlocked.Increment(ref _refused[(byte)reason]);
}
