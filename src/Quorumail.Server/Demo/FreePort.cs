using System.Net;
using System.Net.Sockets;

namespace Quorumail.Server.Demo;

/// <summary>Ports that nobody listens on, below the range from which the system gives ports to clients.</summary>
internal static class FreePort
{
    private const int First = 12_000;
    private const int Last = 32_000;

    private static readonly HashSet<int> Taken = [];

    /// <summary>A free port of 127.0.0.1 that this process has not handed out before.</summary>
    public static int Take()
    {
        lock (Taken)
        {
            for (var attempt = 0; attempt < 1000; attempt++)
            {
                var port = Random.Shared.Next(First, Last);
                if (!Taken.Contains(port) && IsFree(port))
                {
                    Taken.Add(port);
                    return port;
                }
            }
        }

        throw new InvalidOperationException($"No free port between {First} and {Last}.");
    }

    private static bool IsFree(int port)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(new IPEndPoint(IPAddress.Any, port));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
