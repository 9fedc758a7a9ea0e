from tests.kafka import kafka_broker as kafka_broker
from tests.store import embedded_store as embedded_store
from tests.world import world as world
