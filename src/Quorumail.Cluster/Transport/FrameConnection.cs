using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Transport;

/// <summary>
/// A socket, the stream of bytes over it (its own, or TLS), and what of them has been read and not used. Before
/// authentication it holds no more than a handshake needs.
/// </summary>
internal sealed class FrameConnection : IDisposable
{
    // One read takes many small frames; a large frame is read into a buffer of its own.
    private const int BufferSize = 64 * 1024;

    private readonly Socket _socket;
    private byte[] _buffer = new byte[2 * FrameLimits.HandshakeMax];
    private int _start;
    private int _end;

    public FrameConnection(Socket socket)
    {
        socket.NoDelay = true;
        _socket = socket;
        Remote = RemoteOf(socket)?.ToString() ?? "?";
        Stream = new NetworkStream(socket, ownsSocket: false);
    }

    /// <summary>Address and port at the other end.</summary>
    public string Remote { get; }

    /// <summary>Where bytes go out, and come in past <see cref="Pending"/>.</summary>
    public Stream Stream { get; private set; }

    /// <summary>What has been read and not used.</summary>
    public ReadOnlyMemory<byte> Pending => _buffer.AsMemory(_start, _end - _start);

    /// <summary>Who is at the other end, as the socket sees it; null if it has gone already.</summary>
    public static IPEndPoint? RemoteOf(Socket socket)
    {
        try
        {
            return socket.RemoteEndPoint as IPEndPoint;
        }
        catch (SocketException)
        {
            return null;
        }
    }

    /// <summary>Goes on over TLS. What is pending must have been used.</summary>
    public void Secure(Stream stream)
    {
        _start = _end = 0;
        Stream = stream;
    }

    /// <summary>From now on as much is read as there is.</summary>
    public void Open()
    {
        var buffer = new byte[BufferSize];
        Pending.CopyTo(buffer);
        _end -= _start;
        _start = 0;
        _buffer = buffer;
    }

    /// <summary>Takes bytes out of <see cref="Pending"/>.</summary>
    public void Use(int count)
    {
        _start += count;
        if (_start == _end)
        {
            _start = _end = 0;
        }
    }

    /// <summary>Reads more behind <see cref="Pending"/>. False when the peer has ended, or when there is no room.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<bool> FillAsync(CancellationToken token)
    {
        if (_start > 0 && _end == _buffer.Length)
        {
            Pending.CopyTo(_buffer);
            _end -= _start;
            _start = 0;
        }

        var count = _end == _buffer.Length ? 0 : await Stream.ReadAsync(_buffer.AsMemory(_end), token);
        _end += count;
        return count > 0;
    }

    /// <summary>Says that nothing more will come; the peer's last bytes may still be read.</summary>
    public void Finish()
    {
        try
        {
            _socket.Shutdown(SocketShutdown.Send);
        }
        catch (SocketException)
        {
            // It has ended already.
        }
    }

    /// <summary>Ends the connection: whoever reads or writes is told by an exception.</summary>
    public void Dispose()
    {
        _socket.Dispose();
        if (Stream is not NetworkStream)
        {
            // What TLS holds outside of managed memory. With the socket gone it sends nothing more.
            Stream.Dispose();
        }
    }
}
