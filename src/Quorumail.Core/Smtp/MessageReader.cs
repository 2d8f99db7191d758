using Quorumail.Core.Mail;

namespace Quorumail.Core.Smtp;

/// <summary>
/// Reads a message that arrives by DATA (RFC 5321 4.5.2) or by BDAT (RFC 3030): finds its true end, takes the dots of
/// transparency away, and sees what the server must know, in one pass over the octets. Nothing is kept or allocated: what
/// it gives are slices of its input. Only CRLF.CRLF ends DATA. After a fault it reads on to the true end and gives nothing.
/// </summary>
public sealed class MessageReader
{
    private readonly SmtpLimits _limits;
    private readonly bool _normalizesLineEnds;
    private readonly bool _reportsHeaderEnd;
    private HeaderScanner _header;
    private State _state;
    private Injection _injection;
    private bool _isDotStuffed;
    private bool _isLastChunk;
    private bool _inHeader;
    private bool _headerEndDue;
    private bool _lineEndIsOurs;
    private bool _cutDue;
    private bool _isHeaderExamined;
    private int _heldOctets;
    private int _lineLength;
    private long _headerSize;
    private long _chunkRemaining;

    /// <param name="limits">Sizes and counts.</param>
    /// <param name="normalizesLineEnds">A bare CR or LF becomes CRLF instead of a fault; it still ends nothing.</param>
    /// <param name="reportsHeaderEnd">Gives <see cref="MessageRead.HeaderEnd"/>, so that fields can be added.</param>
    public MessageReader(SmtpLimits limits, bool normalizesLineEnds, bool reportsHeaderEnd)
    {
        ArgumentNullException.ThrowIfNull(limits);
        _limits = limits;
        _normalizesLineEnds = normalizesLineEnds;
        _reportsHeaderEnd = reportsHeaderEnd;
    }

    private enum State : byte
    {
        LineStart,
        InLine,
        AfterCr,
        AfterDot,
        AfterDotCr,
        AfterHeldCr,
    }

    private enum Injection : byte
    {
        None,
        Cr,
        Lf,
        CrLf,
    }

    /// <summary>The fault, or none; of several the one that <see cref="MessageFault"/> names first, however the octets arrived.</summary>
    public MessageFault Fault { get; private set; }

    /// <summary>Octets of the message so far, decoded.</summary>
    public long Size { get; private set; }

    /// <summary>What was seen in the message so far.</summary>
    public BodyTraits Traits { get; private set; }

    /// <summary>Whether the header section has a Message-ID field.</summary>
    public bool HasMessageId => _header.HasMessageId;

    /// <summary>Whether the header section has a Date field.</summary>
    public bool HasDate => _header.HasDate;

    /// <summary>What the first line is. While that is undecided, no more than <see cref="FirstLineOctetsMax"/> octets are given.</summary>
    internal FirstLine FirstLine => _header.First;

    /// <summary>Octets that are given before the first line is decided, with the piece that decides it if it is no field: its line end included.</summary>
    internal const int FirstLineOctetsMax = HeaderScanner.FirstLineMax + 2;

    /// <summary>Whether the message, read to its end, lacks the end of its last line; only BDAT allows that.</summary>
    public bool IsInLine => _lineLength > 0;

    /// <summary>Whether the header section is still open: at the end of the message, it had no empty line.</summary>
    public bool IsInHeader => _inHeader;

    /// <summary>Begins a message that comes by DATA.</summary>
    public void StartData() => Start(isDotStuffed: true);

    /// <summary>Begins a message that comes by BDAT.</summary>
    public void StartChunks() => Start(isDotStuffed: false);

    /// <summary>Begins the next chunk of a message begun by <see cref="StartChunks"/>.</summary>
    /// <param name="octets">0 or more.</param>
    /// <param name="isLast">Whether the message ends with it.</param>
    public void StartChunk(long octets, bool isLast)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(octets);
        Invariant.Check(!_isDotStuffed, "chunks and DATA are never mixed in one message");
        _chunkRemaining = octets;
        _isLastChunk = isLast;
    }

    /// <summary>Refuses the message for a reason of the host's: the rest is read and thrown away.</summary>
    public void Refuse()
    {
        Fail(MessageFault.Host);
    }

    /// <summary>
    /// Reads on. Call again, with the input after <paramref name="consumed"/>, until it needs input or finds the end.
    /// </summary>
    /// <param name="input">What has arrived; may be empty.</param>
    /// <param name="consumed">Octets of the input that were used.</param>
    /// <param name="piece">Decoded octets with <see cref="MessageRead.Piece"/>, otherwise empty.</param>
    public MessageRead Read(ReadOnlySpan<byte> input, scoped out int consumed, out ReadOnlySpan<byte> piece)
    {
        consumed = 0;
        while (true)
        {
            if (_headerEndDue)
            {
                _headerEndDue = false;
                if (Fault == MessageFault.None)
                {
                    piece = default;
                    return MessageRead.HeaderEnd;
                }
            }

            var found = _injection == Injection.None ? Next(input, ref consumed, out piece) : Inject(out piece);
            if (found != MessageRead.Piece)
            {
                return found;
            }

            Examine(piece);
            if (Fault == MessageFault.None && piece.Length > 0)
            {
                return MessageRead.Piece;
            }
        }
    }

    private void Start(bool isDotStuffed)
    {
        _isDotStuffed = isDotStuffed;
        _header = default;
        _state = State.LineStart;
        _injection = Injection.None;
        _inHeader = true;
        _headerEndDue = false;
        _lineEndIsOurs = false;
        _cutDue = false;
        _isHeaderExamined = false;
        _heldOctets = 0;
        _lineLength = 0;
        _headerSize = 0;
        _chunkRemaining = 0;
        _isLastChunk = false;
        Fault = MessageFault.None;
        Size = 0;
        Traits = BodyTraits.None;
    }

    private MessageRead Next(ReadOnlySpan<byte> input, scoped ref int consumed, out ReadOnlySpan<byte> piece)
    {
        piece = default;
        var rest = input[consumed..];
        if (_isDotStuffed)
        {
            if (rest.IsEmpty)
            {
                return MessageRead.NeedInput;
            }

            var isEnd = Scan(rest, out var used, out piece);
            consumed += used;
            return isEnd ? MessageRead.End : MessageRead.Piece;
        }

        if (_chunkRemaining == 0)
        {
            return _isLastChunk && FinishLastLine() ? MessageRead.Piece : MessageRead.End;
        }

        if (rest.IsEmpty)
        {
            return MessageRead.NeedInput;
        }

        if (rest.Length > _chunkRemaining)
        {
            rest = rest[..(int)_chunkRemaining];
        }

        Scan(rest, out var usedOfChunk, out piece);
        consumed += usedOfChunk;
        _chunkRemaining -= usedOfChunk;
        return MessageRead.Piece;
    }

    /// <summary>Goes through the input up to a point where the piece must be cut; true if it is the end of DATA.</summary>
    private bool Scan(ReadOnlySpan<byte> input, out int consumed, out ReadOnlySpan<byte> piece)
    {
        var start = 0;
        var position = 0;
        while (position < input.Length)
        {
            var next = input[position];
            switch (_state)
            {
                case State.LineStart when next == '.' && _isDotStuffed:
                    _state = State.AfterDot;
                    consumed = position + 1;
                    piece = input[start..position];
                    return false;
                case State.LineStart:
                    _state = State.InLine;
                    break;
                case State.InLine when _inHeader:
                    ScanHeaderLine(input, ref position);
                    break;
                case State.InLine:
                    ScanBody(input, ref position);
                    break;
                case State.AfterCr when next == '\n':
                    position++;
                    EndLine();
                    break;
                case State.AfterCr:
                    BareCr(Injection.Lf);
                    break;
                case State.AfterDot when next == '\r':
                    position++;
                    start = position;
                    _state = State.AfterDotCr;
                    break;
                case State.AfterDot:
                    _state = State.InLine;
                    break;
                case State.AfterDotCr when next == '\n':
                    consumed = position + 1;
                    piece = default;
                    _state = State.LineStart;
                    return true;
                case State.AfterDotCr:
                    BareCr(Injection.CrLf);
                    break;
                case State.AfterHeldCr:
                    AfterHeldCr(input, ref position, ref start);
                    break;
            }

            if (_cutDue)
            {
                _cutDue = false;
                break;
            }
        }

        consumed = position;
        piece = input[start..(position - _heldOctets)];
        _heldOctets = 0;
        return false;
    }

    /// <summary>Scans body lines up to the end of the input or something that needs a closer look.</summary>
    private void ScanBody(ReadOnlySpan<byte> input, ref int position)
    {
        while (true)
        {
            var rest = input[position..];
            var length = rest.IndexOfAny((byte)'\r', (byte)'\n');
            if (length < 0)
            {
                _lineLength += rest.Length;
                position += rest.Length;
                return;
            }

            _lineLength += length;
            position += length;
            if (rest[length] == '\n')
            {
                BareLf(ref position);
                return;
            }

            position++;
            if (length + 1 >= rest.Length || rest[length + 1] != '\n')
            {
                _state = State.AfterCr;
                return;
            }

            position++;
            EndLine();
            if (position >= input.Length || (input[position] == '.' && _isDotStuffed))
            {
                return;
            }

            _state = State.InLine;
        }
    }

    private void ScanHeaderLine(ReadOnlySpan<byte> input, ref int position)
    {
        var rest = input[position..];
        var length = rest.IndexOfAny((byte)'\r', (byte)'\n');
        var part = length < 0 ? rest : rest[..length];
        if (part.Length > 0)
        {
            var isOpen = _header.First == FirstLine.Undecided;
            var before = _header.Judged;
            _header.Append(part);
            if (isOpen && MustCut(before))
            {
                var used = _header.Judged - before;
                _lineLength += used;
                position += used;
                _cutDue = true;
                return;
            }

            _lineLength += part.Length;
            position += part.Length;
        }

        if (length < 0)
        {
            return;
        }

        if (rest[length] == '\n')
        {
            BareLf(ref position);
            return;
        }

        position++;
        _state = State.AfterCr;
        if (_lineLength == 0 && _reportsHeaderEnd)
        {
            _state = State.AfterHeldCr;
            HoldLastOctet();
        }
    }

    /// <summary>
    /// Whether the octet that has just decided the first line ends a piece: what was given before it must wait for it, and is
    /// bounded. A field that is seen in one go needs no cut.
    /// </summary>
    private bool MustCut(int judgedBefore)
    {
        switch (_header.First)
        {
            case FirstLine.Text:
                _inHeader = false;
                return true;
            case FirstLine.Field:
                return judgedBefore > 0;
            default:
                return false;
        }
    }

    /// <summary>The octet just used belongs to no piece yet: what comes before it is given first.</summary>
    private void HoldLastOctet()
    {
        _heldOctets = 1;
        _cutDue = true;
    }

    private void EndLine()
    {
        // Only a CRLF of the sender's makes the next dot special.
        _state = _lineEndIsOurs ? State.InLine : State.LineStart;
        _lineEndIsOurs = false;
        if (_lineLength + 2 > _limits.TextLineMax && _limits.TextLineMax > 0)
        {
            Fail(MessageFault.LineTooLong);
        }

        if (_inHeader)
        {
            if (_lineLength == 0 || !_header.EndLine())
            {
                EndHeader();
            }
            else if (_header.ReceivedFields > _limits.ReceivedFieldsMax)
            {
                Fail(MessageFault.TooManyHops);
            }
        }

        _lineLength = 0;
    }

    private void EndHeader()
    {
        _cutDue = true;
        _inHeader = false;
    }

    /// <summary>A CR without LF: a fault, or made whole. The octet after it is looked at again.</summary>
    private void BareCr(Injection missing)
    {
        _state = State.InLine;
        if (!_normalizesLineEnds)
        {
            Fail(MessageFault.BareLineEnd);
            return;
        }

        _lineEndIsOurs = true;
        EndLine();
        _injection = missing;
        _cutDue = true;
    }

    private void BareLf(ref int position)
    {
        if (!_normalizesLineEnds)
        {
            Fail(MessageFault.BareLineEnd);
            position++;
            return;
        }

        _lineEndIsOurs = true;
        if (_inHeader && _lineLength == 0 && _reportsHeaderEnd)
        {
            position++;
            HoldLastOctet();
            EndReportedHeader();
            return;
        }

        _cutDue = true;
        _injection = Injection.Cr;
        _state = State.AfterCr;
    }

    /// <summary>The first octet of a header line was a CR: with its LF, the section ends here.</summary>
    private void AfterHeldCr(ReadOnlySpan<byte> input, ref int position, ref int start)
    {
        if (input[position] == '\n')
        {
            position++;
        }
        else if (_normalizesLineEnds)
        {
            _lineEndIsOurs = true;
        }
        else
        {
            _state = State.InLine;
            Fail(MessageFault.BareLineEnd);
            return;
        }

        start = position;
        EndReportedHeader();
    }

    private void EndReportedHeader()
    {
        EndLine();
        _headerEndDue = true;
        _injection = Injection.CrLf;
    }

    /// <summary>The last chunk is read: a CR at its very end is bare. True if something is still to be given.</summary>
    private bool FinishLastLine()
    {
        var missing = _state switch
        {
            State.AfterCr => Injection.Lf,
            State.AfterHeldCr => Injection.CrLf,
            _ => Injection.None,
        };
        if (missing == Injection.None)
        {
            if (_lineLength > _limits.TextLineMax && _limits.TextLineMax > 0)
            {
                Fail(MessageFault.LineTooLong);
            }

            if (_inHeader && _lineLength > 0)
            {
                // The line counts, though it lacks its end.
                _inHeader = _header.EndLine();
            }

            return false;
        }

        BareCr(missing);
        return _injection != Injection.None;
    }

    private MessageRead Inject(out ReadOnlySpan<byte> piece)
    {
        piece = _injection switch
        {
            Injection.Cr => "\r"u8,
            Injection.Lf => "\n"u8,
            _ => "\r\n"u8,
        };
        _injection = Injection.None;
        return MessageRead.Piece;
    }

    private void Examine(ReadOnlySpan<byte> piece)
    {
        Size += piece.Length;
        if (Size > _limits.MessageSizeMax)
        {
            Fail(MessageFault.TooLarge);
        }

        if ((Traits & BodyTraits.EightBit) == BodyTraits.None)
        {
            if (piece.IndexOfAnyExceptInRange((byte)1, (byte)127) < 0)
            {
                ExamineHeader(piece, hasEightBit: false);
                return;
            }
        }

        if (piece.Contains((byte)0))
        {
            Fail(MessageFault.Nul);
        }

        var hasEightBit = !System.Text.Ascii.IsValid(piece);
        Traits |= hasEightBit ? BodyTraits.EightBit : BodyTraits.None;
        ExamineHeader(piece, hasEightBit);
    }

    private void ExamineHeader(ReadOnlySpan<byte> piece, bool hasEightBit)
    {
        if (_isHeaderExamined)
        {
            return;
        }

        _headerSize += piece.Length;
        if (_header.First == FirstLine.Field)
        {
            if (_headerSize > _limits.HeaderSizeMax)
            {
                Fail(MessageFault.HeaderTooLarge);
            }

            Traits |= hasEightBit ? BodyTraits.EightBitHeaders : BodyTraits.None;
        }

        _isHeaderExamined = !_inHeader;
    }

    private void Fail(MessageFault fault)
    {
        if (Fault == MessageFault.None || fault < Fault)
        {
            Fault = fault;
        }
    }
}
