using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;

namespace Quorumail.Server.Hosting;

/// <summary>The server can't start; the message is one line for the operator that says what to do.</summary>
internal sealed class StartException : Exception
{
    public StartException()
    {
    }

    public StartException(string message)
        : base(message)
    {
    }

    public StartException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>Tells why a listener could not be opened.</summary>
    /// <param name="exception">What opening threw.</param>
    /// <param name="wanted">What was to be opened, with the key behind each.</param>
    public static StartException FromListening(Exception exception, IReadOnlyList<(IPEndPoint EndPoint, string Key)> wanted)
    {
        var socket = Find<SocketException>(exception);
        var named = wanted.FirstOrDefault(w => exception.Message.Contains(w.EndPoint.ToString(), StringComparison.Ordinal));
        var place = named.EndPoint is null
            ? string.Join(" or ", wanted.Select(w => $"{w.EndPoint} ({w.Key})"))
            : $"{named.EndPoint} ({named.Key})";
        if (Find<AddressInUseException>(exception) is not null || socket?.SocketErrorCode == SocketError.AddressAlreadyInUse)
        {
            return new StartException($"{place} is in use by another program: stop it, or choose another port", exception);
        }

        return socket?.SocketErrorCode switch
        {
            SocketError.AccessDenied => new StartException($"no permission to listen on {place}: use a port above 1023, or grant CAP_NET_BIND_SERVICE", exception),
            SocketError.AddressNotAvailable => new StartException($"can't listen on {place}: this machine has no such address", exception),
            _ => new StartException($"can't listen on {place}: {(socket ?? exception).Message}", exception),
        };
    }

    private static T? Find<T>(Exception? exception)
        where T : Exception
    {
        for (; exception is not null; exception = exception.InnerException)
        {
            if (exception is T found)
            {
                return found;
            }
        }

        return null;
    }
}
