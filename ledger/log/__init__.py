"""The log: commits, their hash chain and head (`commits`), bodies as bytes (`bodies`), and following (`following`)."""

from .bodies import BINARY as BINARY
from .bodies import TEXT as TEXT
from .commits import FORMAT as FORMAT
from .commits import Commit as Commit
from .commits import Entry as Entry
from .commits import Head as Head
from .commits import IndexPart as IndexPart
from .commits import KeysEnd as KeysEnd
from .commits import Snapshot as Snapshot
from .commits import StoredKey as StoredKey
from .commits import commit_hash as commit_hash
from .commits import decode_commit as decode_commit
from .commits import encode_commit as encode_commit
from .commits import entries as entries
from .commits import origin as origin
from .following import check_successor as check_successor
from .following import follow as follow
from .following import follow_store as follow_store
