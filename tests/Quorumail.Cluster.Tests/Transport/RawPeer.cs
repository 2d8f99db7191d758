using System.Buffers;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Tests.Transport;

/// <summary>A peer that sends what the test says: well-mannered or not.</summary>
internal sealed class RawPeer : IDisposable
{
    private readonly Socket _socket;
    private byte[] _pending = [];

    private RawPeer(Socket socket) => _socket = socket;

    public static async Task<RawPeer> ConnectAsync(IPEndPoint endPoint)
    {
        var socket = new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            await socket.ConnectAsync(endPoint, TestContext.Current.CancellationToken);
        }
        catch (SocketException closed) when (closed.SocketErrorCode == SocketError.ConnectionReset)
        {
            // Accepted and closed at once: reading says so.
        }

        return new RawPeer(socket);
    }

    /// <summary>Connects and goes through the handshake.</summary>
    public static async Task<RawPeer> OpenAsync(IPEndPoint endPoint, string nodeId, ConnectionPurpose purpose = ConnectionPurpose.Frames, params string[] tokens)
    {
        var peer = await ConnectAsync(endPoint);
        var self = new PeerIntroduction(nodeId, BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8)), 1, Guid.Empty, 0, 1, "", purpose, tokens.Length > 0);
        var handshake = Handshake.Dial(self, tokens, RandomNumberGenerator.GetBytes(PeerIntroduction.NonceSize), default);
        await peer.SendAsync(handshake.HelloFrame());
        while (true)
        {
            var (type, body) = await peer.ReceiveAsync(isAuthenticated: false);
            var step = handshake.Next(type, body);
            step = step.Kind == HandshakeStepKind.Judge ? handshake.Admit() : step;
            await peer.SendAsync(step.Frame);
            if (step.Kind != HandshakeStepKind.Send)
            {
                Assert.Equal(HandshakeStepKind.Open, step.Kind);
                return peer;
            }
        }
    }

    public async Task SendAsync(ReadOnlyMemory<byte> octets)
    {
        while (!octets.IsEmpty)
        {
            octets = octets[await _socket.SendAsync(octets, TestContext.Current.CancellationToken)..];
        }
    }

    /// <summary>The next frame; type 0 if the connection has ended.</summary>
    public async Task<(FrameType Type, byte[] Body)> ReceiveAsync(bool isAuthenticated)
    {
        var buffer = new byte[64 * 1024];
        while (true)
        {
            var input = new ReadOnlySequence<byte>(_pending);
            if (FrameCodec.Read(ref input, isAuthenticated, out var type, out var body) == FrameStatus.Complete)
            {
                _pending = input.ToArray();
                return (type, body.ToArray());
            }

            var length = await ReadAsync(buffer);
            if (length == 0)
            {
                return default;
            }

            _pending = [.. _pending, .. buffer.AsSpan(0, length)];
        }
    }

    /// <summary>Reads and drops until the connection ends.</summary>
    public async Task UntilClosedAsync()
    {
        var buffer = new byte[64 * 1024];
        while (await ReadAsync(buffer) > 0)
        {
        }
    }

    public void Dispose() => _socket.Dispose();

    private async Task<int> ReadAsync(byte[] buffer)
    {
        try
        {
            return await _socket.ReceiveAsync(buffer, TestContext.Current.CancellationToken).AsTask().WaitAsync(TransportNode.Patience);
        }
        catch (SocketException)
        {
            return 0;
        }
    }
}
