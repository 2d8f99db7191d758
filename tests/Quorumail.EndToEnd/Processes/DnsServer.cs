using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Quorumail.EndToEnd.Processes;

/// <summary>A name server on loopback that has one answer for every name: some addresses, or some hosts with ports (RFC 1035, RFC 2782).</summary>
internal sealed class DnsServer : IAsyncDisposable
{
    private const int HeaderSize = 12;
    private const ushort Internet = 1;

    private readonly UdpClient _socket = new(new IPEndPoint(IPAddress.Loopback, 0));
    private readonly Dictionary<ushort, List<byte[]>> _records = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _running;
    private int _asked;

    public DnsServer(IEnumerable<IPAddress> addresses, IEnumerable<(string Host, int Port)> services)
    {
        _records[(ushort)Kind.Address] = [.. addresses.Select(address => address.GetAddressBytes())];
        _records[(ushort)Kind.Service] = [.. services.Select(service => Service(service.Host, service.Port))];
        _running = AnswerAsync();
    }

    private enum Kind : ushort
    {
        Address = 1,
        Service = 33,
    }

    /// <summary>Where it listens.</summary>
    public IPEndPoint EndPoint => (IPEndPoint)_socket.Client.LocalEndPoint!;

    /// <summary>Questions so far.</summary>
    public int Asked => Volatile.Read(ref _asked);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running;
        _socket.Dispose();
        _stop.Dispose();
    }

    private async Task AnswerAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                var question = await _socket.ReceiveAsync(_stop.Token);
                Interlocked.Increment(ref _asked);
                await _socket.SendAsync(Answer(question.Buffer), question.RemoteEndPoint, _stop.Token);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (SocketException)
            {
                // Whoever asked is gone.
            }
        }
    }

    private byte[] Answer(byte[] question)
    {
        var end = HeaderSize;
        while (question[end] != 0)
        {
            end += question[end] + 1;
        }

        var kind = BinaryPrimitives.ReadUInt16BigEndian(question.AsSpan(end + 1));
        end += 5;
        var records = _records.GetValueOrDefault(kind) ?? [];
        using var answer = new MemoryStream();
        answer.Write(question.AsSpan(0, 2));
        Write(answer, 0x8580, 1, (ushort)records.Count, 0, 0); // An answer, from who should know, and no error.
        answer.Write(question.AsSpan(HeaderSize, end - HeaderSize));
        foreach (var record in records)
        {
            Write(answer, 0xC000 + HeaderSize, kind, Internet, 0, 0, (ushort)record.Length); // The name that was asked for; to be kept for 0 s.
            answer.Write(record);
        }

        return answer.ToArray();
    }

    private static byte[] Service(string host, int port)
    {
        using var record = new MemoryStream();
        Write(record, 0, 0, (ushort)port);
        foreach (var label in host.Split('.'))
        {
            record.WriteByte((byte)label.Length);
            record.Write(Encoding.ASCII.GetBytes(label));
        }

        record.WriteByte(0);
        return record.ToArray();
    }

    private static void Write(MemoryStream stream, params ReadOnlySpan<ushort> numbers)
    {
        Span<byte> bytes = stackalloc byte[2];
        foreach (var number in numbers)
        {
            BinaryPrimitives.WriteUInt16BigEndian(bytes, number);
            stream.Write(bytes);
        }
    }
}
