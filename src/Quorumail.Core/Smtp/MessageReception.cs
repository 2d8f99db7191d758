using System.Buffers;
using Quorumail.Core.Mail;

namespace Quorumail.Core.Smtp;

/// <summary>What <see cref="MessageReception.Next"/> found.</summary>
internal enum Reception
{
    /// <summary>All input is used up.</summary>
    NeedInput,

    /// <summary>Octets of the message.</summary>
    Body,

    /// <summary>The message will be refused at its end: its octets may go. Comes at most once.</summary>
    Discard,

    /// <summary>A chunk that isn't the last has been read.</summary>
    ChunkEnd,

    /// <summary>The message has been read and can be committed.</summary>
    Complete,

    /// <summary>The message is too large by far, and its end is not in sight: there is no way to go on.</summary>
    Endless,

    /// <summary>The true end is reached: <see cref="MessageReception.Refusal"/> is to be answered.</summary>
    Refused,
}

/// <summary>Follows one message, or one refused chunk, from its first octet to its true end.</summary>
internal sealed class MessageReception
{
    // How often the largest size is read before a message is called endless.
    private const int EndlessFactor = 2;

    private readonly SmtpService _service;
    private readonly MessageReader _reader;
    private SmtpReply? _hostRefusal;
    private bool _isDiscarded;
    private bool _isLastChunk;
    private bool _isAtEnd;
    private bool _hasTrailer;
    private bool _isBegun;
    private byte[] _held = [];
    private int _heldLength;
    private long _skipRemaining;

    public MessageReception(SmtpService service)
    {
        _service = service;
        _reader = new MessageReader(service.Limits, service.NormalizesLineEnds, reportsHeaderEnd: service.Role == SmtpRole.Submission);
    }

    /// <summary>What was seen in the message so far.</summary>
    public BodyTraits Traits => _reader.Traits;

    /// <summary>Counts messages that come by DATA, and chunks.</summary>
    public int Part { get; private set; }

    /// <summary>Octets that have come of the message by DATA, or of the chunk, that was begun last.</summary>
    public long Octets { get; private set; }

    /// <summary>Octets of the chunk that was read last.</summary>
    public long ChunkLength { get; private set; }

    /// <summary>What to answer when refused.</summary>
    public SmtpReply Refusal { get; private set; } = SmtpReplies.BadSequence;

    // A message may begin with the empty line that ends its header section: it has none, and nothing is missing.
    private bool IsDecided => _reader.FirstLine != FirstLine.Undecided || !_reader.IsInHeader;

    /// <summary>Begins a message that comes by DATA.</summary>
    public void StartData()
    {
        StartPart();
        Start(isLastChunk: true);
        _reader.StartData();
    }

    /// <summary>Begins a message that comes by BDAT; its first chunk follows by <see cref="StartChunk"/>.</summary>
    public void StartChunks()
    {
        Start(isLastChunk: false);
        _reader.StartChunks();
    }

    /// <summary>Begins a chunk.</summary>
    public void StartChunk(long octets, bool isLast)
    {
        StartPart();
        _isAtEnd = false;
        _isLastChunk = isLast;
        ChunkLength = octets;
        _reader.StartChunk(octets, isLast);
    }

    /// <summary>The host can't store the message: the rest is read and thrown away.</summary>
    public void Refuse(SmtpReply reply)
    {
        _hostRefusal = reply;
        _heldLength = 0;
        _isDiscarded = true;
        _reader.Refuse();
    }

    /// <summary>Begins a chunk that is refused but must be read, so that its octets aren't taken for commands.</summary>
    public void StartSkipping(long octets, SmtpReply refusal)
    {
        StartPart();
        _skipRemaining = octets;
        Refusal = refusal;
    }

    /// <summary>Goes on with a refused chunk; true at its end.</summary>
    public bool Skip(ref ReadOnlySequence<byte> input)
    {
        var skipped = Math.Min(input.Length, _skipRemaining);
        input = input.Slice(skipped);
        _skipRemaining -= skipped;
        Octets += skipped;
        return _skipRemaining == 0;
    }

    /// <summary>Goes on with the message.</summary>
    /// <param name="input">What has arrived.</param>
    /// <param name="transaction">Gives the names of fields to be added.</param>
    /// <param name="octets">With <see cref="Reception.Body"/>: valid until the next call.</param>
    public Reception Next(ref ReadOnlySequence<byte> input, Transaction transaction, out ReadOnlySpan<byte> octets)
    {
        octets = default;
        if (_isBegun && _heldLength > 0)
        {
            octets = TakeHeld();
            return Reception.Body;
        }

        while (!_isAtEnd)
        {
            var found = _reader.Read(input.FirstSpan, out var used, out octets);
            input = input.Slice(used);
            Octets += used;
            switch (found)
            {
                case MessageRead.Piece when _isBegun || MayBegin(octets):
                    return Reception.Body;
                case MessageRead.Piece when IsDecided:
                    return Begin(transaction, out octets);
                case MessageRead.Piece:
                    break;
                case MessageRead.HeaderEnd when MissingFields(transaction) is { Length: > 0 } missing:
                    octets = missing;
                    return Reception.Body;
                case MessageRead.End:
                    _isAtEnd = true;
                    break;
                case MessageRead.NeedInput when input.IsEmpty && _reader.Size > EndlessFactor * _service.Limits.MessageSizeMax:
                    return Reception.Endless;
                case MessageRead.NeedInput when input.IsEmpty:
                    return _reader.Fault != MessageFault.None && TryDiscard() ? Reception.Discard : Reception.NeedInput;
                case MessageRead.NeedInput when input.FirstSpan.IsEmpty:
                    var next = input.Start;
                    input.TryGet(ref next, out _);
                    input = input.Slice(next);
                    break;
            }
        }

        return End(transaction, out octets);
    }

    private void StartPart()
    {
        Part++;
        Octets = 0;
    }

    private void Start(bool isLastChunk)
    {
        _hostRefusal = null;
        _isDiscarded = false;
        _isAtEnd = false;
        _hasTrailer = false;
        _isBegun = false;
        _heldLength = 0;
        _isLastChunk = isLastChunk;
    }

    /// <summary>Whether the message begins with a piece that can be given as it is; otherwise it is held.</summary>
    private bool MayBegin(ReadOnlySpan<byte> piece)
    {
        _isBegun = _heldLength == 0 && IsDecided && _reader.FirstLine != FirstLine.Text;
        if (!_isBegun)
        {
            Hold(piece);
        }

        return _isBegun;
    }

    private void Hold(ReadOnlySpan<byte> piece)
    {
        if (_held.Length == 0)
        {
            _held = new byte[MessageReader.FirstLineOctetsMax];
        }

        piece.CopyTo(_held.AsSpan(_heldLength));
        _heldLength += piece.Length;
    }

    private ReadOnlySpan<byte> TakeHeld()
    {
        var held = _held.AsSpan(0, _heldLength);
        _heldLength = 0;
        return held;
    }

    /// <summary>
    /// Gives what stands before the held beginning of the message. If its first line is no field it has no header section: what
    /// was added needs an empty line behind it, or the first lines would be taken for more of it.
    /// </summary>
    private Reception Begin(Transaction transaction, out ReadOnlySpan<byte> octets)
    {
        _isBegun = true;
        octets = _reader.FirstLine == FirstLine.Text ? Join(MissingFields(transaction), "\r\n"u8) : TakeHeld();
        return Reception.Body;
    }

    private static byte[] Join(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second) => [.. first, .. second];

    private Reception End(Transaction transaction, out ReadOnlySpan<byte> octets)
    {
        octets = default;
        if (_reader.Fault != MessageFault.None)
        {
            if (TryDiscard())
            {
                return Reception.Discard;
            }

            // A fault of form is told at the true end of the message; a message that can't be kept ends with its chunk.
            if (_isLastChunk || _reader.Fault is MessageFault.TooLarge or MessageFault.Host)
            {
                Refusal = RefusalOf(_reader.Fault);
                return Reception.Refused;
            }
        }

        if (!_isLastChunk)
        {
            return Reception.ChunkEnd;
        }

        if (!_isBegun && _heldLength > 0)
        {
            return Begin(transaction, out octets);
        }

        if (_reader.IsInHeader && !_hasTrailer && MissingFields(transaction) is { Length: > 0 } missing)
        {
            _hasTrailer = true;
            octets = _reader.IsInLine ? Join("\r\n"u8, missing) : missing;
            return Reception.Body;
        }

        return Reception.Complete;
    }

    private bool TryDiscard()
    {
        var isFirst = !_isDiscarded;
        _isDiscarded = true;
        return isFirst;
    }

    private byte[] MissingFields(Transaction transaction) => _service.Role != SmtpRole.Submission
        ? []
        : TraceFields.Missing(!_reader.HasMessageId, !_reader.HasDate, transaction.Id, _service.Hostname, transaction.Time);

    private SmtpReply RefusalOf(MessageFault fault) => fault switch
    {
        MessageFault.BareLineEnd => SmtpReplies.BareLineEndInMessage,
        MessageFault.Nul => SmtpReplies.NulInMessage,
        MessageFault.TooLarge => SmtpReplies.TooLarge,
        MessageFault.HeaderTooLarge => SmtpReplies.HeaderTooLarge,
        MessageFault.TooManyHops => SmtpReplies.TooManyHops,
        MessageFault.LineTooLong => SmtpReplies.TextLineTooLong,
        _ => _hostRefusal ?? SmtpReplies.StorageFailed,
    };
}
