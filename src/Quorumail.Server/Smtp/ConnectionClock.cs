using Quorumail.Core.Smtp;

namespace Quorumail.Server.Smtp;

/// <summary>What a connection waits for.</summary>
internal enum ConnectionWait
{
    /// <summary>Nothing: it is working.</summary>
    None,

    /// <summary>PROXY header or TLS handshake.</summary>
    Handshake,

    /// <summary>The next command.</summary>
    Command,

    /// <summary>More of a message.</summary>
    Data,

    /// <summary>The commit of a message, or what the log says to a limit.</summary>
    Commit,

    /// <summary>The client to read a reply.</summary>
    Write,
}

/// <summary>
/// The times of one connection. Its loop says what it waits for; ticks from another thread ask what has taken too long.
/// </summary>
internal sealed class ConnectionClock(ReceivingOptions options, TimeProvider time)
{
    private volatile ConnectionWait _wait;
    private long _waitSince;
    private long _transactionSince;
    private long _dataSince;
    private long _dataOctets;
    private int _dataPart;

    /// <summary>What the connection waits for now.</summary>
    public ConnectionWait Wait => _wait;

    /// <summary>Whether a transaction is open.</summary>
    public bool HasTransaction => Volatile.Read(ref _transactionSince) != 0;

    /// <summary>How long the open transaction has lasted.</summary>
    public TimeSpan TransactionTime => time.GetElapsedTime(Volatile.Read(ref _transactionSince));

    /// <summary>Begins to wait.</summary>
    public void Start(ConnectionWait wait)
    {
        Volatile.Write(ref _waitSince, time.GetTimestamp());
        _wait = wait;
    }

    /// <summary>Goes on waiting, since the last <see cref="Start"/>.</summary>
    public void Resume(ConnectionWait wait) => _wait = wait;

    /// <summary>Waits no more.</summary>
    public void Stop() => _wait = ConnectionWait.None;

    public void StartTransaction() => Volatile.Write(ref _transactionSince, time.GetTimestamp());

    public void EndTransaction() => Volatile.Write(ref _transactionSince, 0);

    /// <summary>
    /// Follows the data of a message, whatever becomes of it. Each part is timed for itself: the time between two chunks, when
    /// the client waits for a reply or makes the next one, belongs to neither.
    /// </summary>
    /// <param name="part">Number of the part: a message that comes by DATA, or a chunk.</param>
    /// <param name="octets">Octets of it that have come so far.</param>
    public void FollowData(int part, long octets)
    {
        if (part != _dataPart)
        {
            _dataPart = part;
            Volatile.Write(ref _dataSince, time.GetTimestamp());
        }

        Volatile.Write(ref _dataOctets, octets);
    }

    /// <summary>Whether the wait has lasted longer than it may.</summary>
    /// <param name="now">A timestamp.</param>
    /// <param name="farewell">What to tell the client, if it is to be told.</param>
    public bool HasExpired(long now, out SmtpReply? farewell)
    {
        farewell = null;
        var waited = time.GetElapsedTime(Volatile.Read(ref _waitSince), now);
        switch (_wait)
        {
            case ConnectionWait.Handshake:
                return waited > options.HandshakeTimeout;
            case ConnectionWait.Write:
                return waited > options.WriteTimeout;
            case ConnectionWait.Commit:
                return waited > options.CommitTimeout;
            case ConnectionWait.Command or ConnectionWait.Data when waited > options.CommandTimeout || HasLastedTooLong(now):
                farewell = SmtpReplies.TimedOut;
                return true;
            case ConnectionWait.Data when IsTooSlow(now):
                farewell = SmtpReplies.TooSlow;
                return true;
            default:
                return false;
        }
    }

    private bool HasLastedTooLong(long now)
    {
        var since = Volatile.Read(ref _transactionSince);
        return since != 0 && time.GetElapsedTime(since, now) > options.TransactionTimeout;
    }

    private bool IsTooSlow(long now)
    {
        // In this order: octets of a new part are never held against the time of the one before it.
        var octets = Volatile.Read(ref _dataOctets);
        var elapsed = time.GetElapsedTime(Volatile.Read(ref _dataSince), now);
        return elapsed > options.DataRateGrace && octets < elapsed.TotalSeconds * options.DataRateMin;
    }
}
